// A cascade of two digit classifiers, from nothing: node examples/cascade/run.ts
//
// The small net answers, and what it is not sure of goes on to the large one. The threshold is chosen on one half of
// the evaluation digits; accuracy and latency are measured on the other, each digit going to both nets and to the
// cascade in turn.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Client } from '../../src/cli/client.ts'
import { reportFailure } from '../../src/roles/lifecycle.ts'
import {
  change,
  deployVersions,
  digitsFile,
  predict,
  printTable,
  readDigits,
  start,
  untilLoaded,
  writeDigits,
  type Digit,
  type Prediction,
} from '../lib/digits.ts'
import { differenceOf, mean, percent, ratioOf } from '../lib/estimate.ts'

const name = 'digits'
/** What a request names: the cascade, or one version, which bypasses it. */
const ways = { cascade: name, large: `${name}/versions/2`, small: `${name}/versions/1` } as const
type Way = keyof typeof ways
const order: readonly Way[] = ['cascade', 'large', 'small']

const rounds = 3
const warmUps = 100

interface Thresholds {
  readonly choice: { readonly threshold: number; readonly accuracy: number; readonly share: number } | null
  readonly large: { readonly accuracy: number }
  readonly points: readonly { readonly threshold: number; readonly accuracy: number; readonly share: number }[]
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

async function chooseThreshold(api: Client, digits: readonly Digit[]): Promise<number> {
  const folder = await mkdtemp(path.join(tmpdir(), 'hasten-cascade-'))
  try {
    const file = path.join(folder, 'choose.npz')
    await writeDigits(file, digits)
    const { id: dataset } = await api.upload<{ id: string }>('/v1/datasets', file, { name: 'choose' })
    const found = await api.post<Thresholds>(`/v1/deployments/${name}/cascade/threshold`, { dataset })
    say(`\nPOST /v1/deployments/${name}/cascade/threshold, on ${digits.length} digits:\n`)
    const cells = ({ threshold, accuracy, share }: Thresholds['points'][number]) => [
      threshold.toFixed(4),
      percent(accuracy),
      percent(share),
    ]
    printTable([['threshold', 'accuracy', 'go on'], ...found.points.filter((_, index) => index % 4 === 0).map(cells)])
    if (found.choice === null) throw new Error('no threshold is as accurate as the large version')
    say(`\nchosen, as accurate as the large one (${percent(found.large.accuracy)}) with the fewest that go on:\n`)
    printTable([cells(found.choice)])
    return found.choice.threshold
  } finally {
    await rm(folder, { recursive: true })
  }
}

type Measured = Readonly<Record<Way, Prediction[]>>

/** Every digit by all three ways, the first of which changes from digit to digit. */
async function measure(serve: Client, digits: readonly Digit[]): Promise<Measured> {
  const measured: Measured = { cascade: [], large: [], small: [] }
  for (const digit of digits.slice(0, warmUps)) for (const way of order) await predict(serve, ways[way], digit)
  for (let round = 0; round < rounds; round++) {
    for (const [index, digit] of digits.entries()) {
      for (let turn = 0; turn < order.length; turn++) {
        const way = order[(index + round + turn) % order.length] ?? 'cascade'
        measured[way].push(await predict(serve, ways[way], digit))
      }
    }
  }
  return measured
}

function report(measured: Measured, digits: readonly Digit[]): void {
  const times = (way: Way) => measured[way].map(({ ms }) => ms)
  const serverTimes = (way: Way) => measured[way].map(({ serverMs }) => serverMs)
  // Answers repeat from round to round, so that accuracy is of the first.
  const right = (way: Way) => digits.map(({ label }, index) => Number(measured[way][index]?.label === label))
  const forwarded = measured.cascade.slice(0, digits.length).filter(({ version }) => version === '2').length
  say(`\n${digits.length} other digits, ${rounds} times, one request after the other:\n`)
  printTable([
    ['', 'accuracy', 'mean latency', 'of it running', 'go on'],
    ...order.map((way) => [
      way,
      percent(mean(right(way))),
      `${mean(times(way)).toFixed(3)} ms`,
      `${mean(serverTimes(way)).toFixed(3)} ms`,
      way === 'cascade' ? percent(forwarded / digits.length) : '',
    ]),
  ])
  say(`\nmean latency, cascade / large:  ${ratioOf(times('cascade'), times('large'))}`)
  say(`of it running, cascade / large: ${ratioOf(serverTimes('cascade'), serverTimes('large'))}`)
  say(`accuracy, cascade - large:      ${differenceOf(right('cascade'), right('large'))}`)
}

async function main(): Promise<void> {
  const { hasten, api, serve } = await start()
  try {
    const files = [path.join(import.meta.dirname, 'small.onnx'), digitsFile('digits.onnx')]
    const models: string[] = []
    for (const file of files) {
      const label = path.basename(file, '.onnx')
      models.push((await api.upload<{ id: string }>('/v1/models', file, { name: label })).id)
    }
    await deployVersions(api, name, models)
    const cascade = { versions: [1, 2], output: 'logits', scores: 'softmax' }
    // A threshold of 1: everything goes on, so that nothing is answered worse before one is chosen.
    await change(api, name, { traffic: { cascade: { ...cascade, threshold: 1 } } })
    await untilLoaded(serve, name, [1, 2])
    const digits = await readDigits()
    const half = digits.length / 2
    const threshold = await chooseThreshold(api, digits.slice(0, half))
    await change(api, name, { traffic: { cascade: { ...cascade, threshold } } })
    const others = digits.slice(half)
    report(await measure(serve, others), others)
  } finally {
    await hasten.stop()
  }
}

await main().catch(reportFailure)

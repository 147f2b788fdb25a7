// A shadow of the digit classifier, from nothing: node examples/shadow/run.ts
//
// A job makes an int8 version. While the fp32 one answers, the int8 one gets a copy of every request, and what it would
// have answered is compared: clients notice nothing of it.
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from '../../src/cli/client.ts'
import { runJob } from '../../src/cli/run.ts'
import { reportFailure } from '../../src/roles/lifecycle.ts'
import { change, digitsFile, predict, printTable, readDigits, start, untilLoaded, type Digit } from '../lib/digits.ts'
import { mean, percent, ratioOf } from '../lib/estimate.ts'

const name = 'digits'
/** The size keeps the original from being the result, which it is wherever int8 is no faster. */
const gates = ['top1 >= baseline - 0.005', 'size <= 0.5 * baseline']
const reportMs = 500
const patienceMs = 60_000
const warmUps = 100
const blockLength = 25

interface ShadowReport {
  readonly compared: number
  readonly agreement: number | null
  readonly failed: number
  readonly dropped: number
  readonly top1_flips: number
  readonly max_abs: number
  readonly mean_cosine: number | null
  readonly min_cosine: number | null
  readonly latency_ratio: number | null
}

interface Stats {
  readonly versions: readonly { readonly version: number; readonly traffic: { readonly shadow: ShadowReport | null } }[]
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** The job that makes an int8 version of a model. */
async function makeInt8(api: Client, model: string): Promise<string> {
  const { job } = await runJob(api, model, {
    recipe: 'int8-static',
    calibration: digitsFile('calibration.npz'),
    eval: digitsFile('evaluation.npz'),
    gate: gates,
    device: 'cpu',
    threads: 1,
    batch: 1,
    report: path.resolve(import.meta.dirname, '../../hasten-report'),
  })
  if (job.result === null) throw new Error(`the job is ${job.state} and has no result`)
  return job.id
}

/** What requests name: the deployment, or its version, which bypasses the shadow. */
const ways = { shadowed: name, alone: `${name}/versions/1` } as const
type Way = keyof typeof ways

interface Sent {
  readonly ms: number
  readonly right: number
}

/** Every digit both ways, in blocks: first one way, then the other, and then turned round. */
async function send(serve: Client, digits: readonly Digit[]): Promise<Readonly<Record<Way, Sent[]>>> {
  const sent: Record<Way, Sent[]> = { shadowed: [], alone: [] }
  for (let from = 0, turn = 0; from < digits.length; from += blockLength, turn++) {
    const order: readonly Way[] = turn % 2 === 0 ? ['shadowed', 'alone'] : ['alone', 'shadowed']
    for (const way of order) {
      for (const digit of digits.slice(from, from + blockLength)) {
        const { label, ms } = await predict(serve, ways[way], digit)
        sent[way].push({ ms, right: Number(label === digit.label) })
      }
    }
  }
  return sent
}

/** What the servers have told by now: of all copies once `sent` are compared, dropped or failed. */
async function readReport(api: Client, sent: number): Promise<ShadowReport> {
  const until = Date.now() + patienceMs
  for (;;) {
    const { versions } = await api.get<Stats>(`/v1/deployments/${name}/stats`)
    const shadow = versions.find(({ version }) => version === 2)?.traffic.shadow
    if (shadow && shadow.compared + shadow.dropped + shadow.failed >= sent) return shadow
    if (Date.now() > until) throw new Error(`only ${shadow?.compared ?? 0} of ${sent} copies were compared in time`)
    await sleep(reportMs)
  }
}

const fixed = (value: number | null, digits: number) => (value === null ? '' : value.toFixed(digits))

function print(report: ShadowReport): void {
  printTable([
    ['copies compared', String(report.compared)],
    ['dropped, failed', `${report.dropped}, ${report.failed}`],
    ['agreement', percent(report.agreement ?? Number.NaN)],
    ['digits that change', String(report.top1_flips)],
    ['largest difference of a logit', fixed(report.max_abs, 3)],
    ['cosine, mean and least', `${fixed(report.mean_cosine, 5)}, ${fixed(report.min_cosine, 5)}`],
    ['run of int8 to that of fp32', fixed(report.latency_ratio, 3)],
  ])
}

async function main(): Promise<void> {
  const { hasten, api, serve } = await start()
  try {
    const { id: fp32 } = await api.upload<{ id: string }>('/v1/models', digitsFile('digits.onnx'), { name })
    const job = await makeInt8(api, fp32)
    await api.post('/v1/deployments', { name, model: fp32 }, { prefer: 'wait=60' })
    await change(api, name, { job, activate: false })
    await change(api, name, { traffic: { shadow: { version: 2, share: 1 } } })
    await untilLoaded(serve, name, [1, 2])
    const digits = await readDigits()
    for (const digit of digits.slice(0, warmUps)) await predict(serve, ways.alone, digit)
    const { shadowed, alone } = await send(serve, digits)
    say(`\n${digits.length} requests; version 1 (fp32) answers, version 2 (int8) is its shadow:\n`)
    print(await readReport(api, digits.length))
    say('\nwhat clients see, of as many requests that bypass the shadow and in turn with them:\n')
    const row = (title: string, sent: readonly Sent[]) => [
      title,
      percent(mean(sent.map(({ right }) => right))),
      `${mean(sent.map(({ ms }) => ms)).toFixed(3)} ms`,
    ]
    printTable([['', 'accuracy', 'mean latency'], row('shadowed', shadowed), row('alone', alone)])
    const times = (sent: readonly Sent[]) => sent.map(({ ms }) => ms)
    say(`\nmean latency, shadowed / alone: ${ratioOf(times(shadowed), times(alone))}`)
  } finally {
    await hasten.stop()
  }
}

await main().catch(reportFailure)

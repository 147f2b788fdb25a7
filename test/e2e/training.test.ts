import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startHasten, type HastenProcess } from '../../scripts/lib/hasten-process.ts'
import { digitsFolder, splitDigits } from '../support/digits.ts'

interface Metric {
  readonly stage: string
  readonly step: number
  readonly steps: number
  readonly epoch: number
  readonly epochs: number
  readonly loss: number
  readonly learning_rate: number
  readonly validation_loss?: number
  readonly metric?: number
  readonly metric_name?: string
  readonly eta_ms: number
}

interface Epoch {
  readonly epoch: number
  readonly step: number
  readonly loss: number | null
  readonly validation_loss: number
  readonly metric: number
}

let hasten: HastenProcess
let folder: string
let job: string

/** Two trainings in one job: the first is long enough to be seen, and killed, while it goes on. */
const recipe = {
  version: 1,
  steps: [
    { pass: 'finetune', options: { batch: 4, epochs: 6, seed: 5 } },
    { pass: 'distill', options: { epochs: 1, maxSteps: 2 } },
  ],
}

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'hasten-training-'))
  hasten = await startHasten({ CHECKPOINT_MS: '1', MEASURE_BUDGET_MS: '300', LOG_LEVEL: 'fatal' })
  const files = await splitDigits(folder)
  const upload = async (target: string, file: string) =>
    (await hasten.client.upload<{ id: string }>(target, file, { name: 'digits' })).id
  const model = await upload('/v1/models', path.join(digitsFolder, 'digits.onnx'))
  const datasets = {
    train: await upload('/v1/datasets', files.train),
    eval: await upload('/v1/datasets', files.held),
  }
  const body = { model, recipe, datasets, target: { threads: 1 } }
  job = (await hasten.client.post<{ id: string }>('/v1/jobs', body)).id
}, 300_000)

afterAll(async () => {
  await hasten?.stop()
  await rm(folder, { recursive: true, force: true })
})

test.runIf(process.platform === 'linux')(
  'a training is seen while it goes on, also after a crash, and then in the report',
  async () => {
    const { client } = hasten
    const metrics = await followAndKill()
    const { state, attempts, artifacts } = await client.get<{
      state: string
      attempts: { state: string }[]
      artifacts: { kind: string; href: string }[]
    }>(`/v1/jobs/${job}`)
    expect(state).toBe('succeeded')
    expect(attempts.map((attempt) => attempt.state)).toEqual(['failed', 'succeeded'])

    const first = metrics.filter(({ epochs }) => epochs === 6)
    expect(first[0]).toMatchObject({ stage: 'train', steps: 216, loss: expect.any(Number) })
    expect(first[0]!.eta_ms).toBeGreaterThan(0)
    expect(first[0]!.learning_rate).toBeGreaterThan(0)
    expect(first.at(-1)).toMatchObject({ step: 216, epoch: 6, eta_ms: 0 })
    expect(metrics.at(-1)).toMatchObject({ epoch: 1, epochs: 1, eta_ms: 0 })

    const { href } = artifacts.find(({ kind }) => kind === 'training')!
    const { steps } = await client.get<{
      steps: { pass: string; epochs: Epoch[]; losses: { step: number }[]; resumed: Metric[] }[]
    }>(href)
    expect(steps.map(({ pass }) => pass)).toEqual(['finetune', 'distill'])
    const [{ epochs, losses, resumed }] = steps as [(typeof steps)[0]]
    expect(resumed).toHaveLength(1)
    expect(epochs.map(({ epoch, step }) => [epoch, step])).toEqual(Array.from({ length: 7 }, (_, n) => [n, 36 * n]))
    expect(losses.at(-1)!.step).toBe(216)
    // What was told live is what was kept, whichever process told it.
    const ends = first.filter((data) => data.validation_loss !== undefined)
    expect(new Set(ends.map(({ epoch }) => epoch)).size).toBeGreaterThan(1)
    expect(ends.every(({ metric_name: name }) => name === 'accuracy')).toBe(true)
    for (const { epoch, step, loss, validation_loss: validation, metric } of ends) {
      expect(epochs[epoch]).toMatchObject({ epoch, step, loss, validation_loss: validation, metric })
    }

    const [json, markdown, page] = await Promise.all(
      ['json', 'md', 'html'].map(async (suffix) => (await client.fetch(`/v1/jobs/${job}/report.${suffix}`)).text()),
    )
    expect(JSON.parse(json!)).toMatchObject({ training: steps })
    expect(markdown).toContain('## Training')
    expect(page).toContain('aria-label="Loss by update, training and validation"')
    expect(page).toContain('Went on from a checkpoint in epoch')
  },
)

/** What a client sees of a training whose process is killed on the way. */
async function followAndKill(): Promise<Metric[]> {
  const metrics: Metric[] = []
  for await (const { type, data } of hasten.client.events(`/v1/jobs/${job}/events`)) {
    if (type !== 'job.metric') continue
    const seen = metrics.some(({ step }) => step >= 2)
    metrics.push(data as Metric)
    // A process keeps its first checkpoint between its first update and its second.
    if (!seen && metrics.at(-1)!.step >= 2) process.kill(await jobProcess(), 'SIGKILL')
  }
  return metrics
}

/** The process that runs the job, somewhere below this test's `hasten start`. */
async function jobProcess(): Promise<number> {
  const rows = await Promise.all((await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(readProcess))
  const parents = new Map(rows.map(({ pid, parent }) => [pid, parent]))
  const isOurs = (pid: number | undefined): boolean =>
    pid !== undefined && (pid === hasten.process.pid || isOurs(parents.get(pid)))
  const found = rows.find(({ pid, command }) => command.includes('job-child') && isOurs(pid))
  if (found === undefined) throw new Error('there is no job process')
  return found.pid
}

async function readProcess(pid: string): Promise<{ pid: number; parent: number; command: string }> {
  const [stat = '', command = ''] = await Promise.all(
    ['stat', 'cmdline'].map(async (file) => readFile(path.join('/proc', pid, file), 'utf8').catch(() => '')),
  )
  return { pid: Number(pid), parent: Number(/\) \S (\d+) /.exec(stat)?.[1] ?? 0), command }
}

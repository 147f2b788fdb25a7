import { setTimeout as sleep } from 'node:timers/promises'
import { HastenError } from '../../../src/errors.ts'
import type { JobRequest } from '../../../src/jobs/attempt.ts'
import { serveParent } from '../../../src/jobs/child-protocol.ts'
import { retryUnavailable } from '../../../src/jobs/retry-unavailable.ts'
import { openStorage, type Fence, type JobRow, type Storage } from '../../../src/storage/index.ts'
import type { Script, ScriptedSettings, Step } from './script.ts'

interface Scene {
  readonly storage: Storage
  readonly fence: Fence
  readonly job: JobRow
  readonly signal: AbortSignal
}

const forever = 2 ** 30

const actions: { readonly [K in Step['do']]: (step: Extract<Step, { do: K }>, scene: Scene) => Promise<unknown> } = {
  stage: async ({ name }, { storage, fence }) => storage.jobs.startStage(fence, name),
  tell: async (_, { storage, fence }) => storage.events.append(fence, { type: 'job.log', data: { pid: process.pid } }),
  pause: async ({ ms }, { signal }) => sleep(ms, undefined, { signal }),
  hang: async (_, { signal }) => sleep(forever, undefined, { signal }),
  ignore: async () => sleep(forever),
  fail: async ({ code }) => {
    throw new HastenError(code, 'as the script says')
  },
  die: async () => {
    process.kill(process.pid, 'SIGKILL')
    await sleep(forever)
  },
  'kill-worker': async () => {
    process.kill(process.ppid, 'SIGKILL')
    await sleep(forever)
  },
  crash: async () => process.abort(),
  hog: async () => {
    const held: Buffer[] = []
    for (;;) {
      held.push(Buffer.alloc(16 * 2 ** 20, 1))
      await sleep(1)
    }
  },
  rubbish: async () => {
    process.send?.({ type: 'done', error: undefined, sql: 'drop table jobs' })
    await sleep(forever)
  },
  publish: publishResult,
}

async function publishResult(_: Step, { storage, fence, job }: Scene): Promise<void> {
  const model = await storage.models.find(job.project, job.modelId)
  if (model === undefined) throw new HastenError('not_found', 'The model of the job is gone.')
  const { files, signature } = model
  const resultModel = { name: `result-${fence.attempt}`, files, signature }
  await storage.jobs.succeed(fence, { verdict: { passed: true }, resultModel })
}

serveParent(async (message, signal) => {
  const { jobId, attempt, settings } = message as JobRequest
  const storage = await openStorage({ ...(settings as ScriptedSettings), maxConnections: 1 })
  const fence = { jobId, attempt }
  const patient = async <T>(work: () => Promise<T>) => retryUnavailable(work, { forMs: 30_000, waitMs: 100 })
  const job = await patient(async () => storage.jobs.findOwned(fence))
  if (job === undefined) return 'superseded'
  const script = (job.recipe as { body: Script }).body
  for (const step of script[Math.min(attempt, script.length) - 1] ?? []) {
    const act = actions[step.do] as (step: Step, scene: Scene) => Promise<unknown>
    await patient(async () => act(step, { storage, fence, job, signal }))
  }
  return 'succeeded'
})

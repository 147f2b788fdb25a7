import { createOrtRuntime } from '../../../../src/engine/runtime/ort/index.ts'
import { endless, loopFeeds, loopModel, numbersOf } from '../conformance/models.ts'

// Eight runs without an end, and one that gets through beside them; then the process ends as its first argument says.
const [, , ending = '', thread] = process.argv
const own = thread === 'own' ? ({ thread } as const) : {}
const runtime = createOrtRuntime({ runThreads: 4 })
const session = await runtime.createSession({ bytes: loopModel }, { session: { intraOpThreads: 1 } })
const controller = new AbortController()
if (thread === 'own') await untilThreadsRun()
const runs = Array.from({ length: 8 }, () => session.run(loopFeeds(endless), { signal: controller.signal, ...own }))
const short = await session.run(loopFeeds(3n))

const endings: Record<string, () => Promise<void>> = {
  close: async () => {
    controller.abort()
    const settled = await Promise.allSettled(runs)
    await runtime.close()
    const codes = settled.map((each) => (each.status === 'rejected' ? each.reason.code : 'ended'))
    process.stdout.write(`${numbersOf(short.y)[0]} ${codes.join(' ')}`)
  },
  exit: async () => process.exit(7),
  crash: async () => {
    throw new Error('crashed')
  },
}
await endings[ending]?.()

/** Threads of its own start when they are first asked for. */
async function untilThreadsRun(): Promise<void> {
  for (let tries = 0; tries < 1000; tries++) {
    const runs = Array.from({ length: 5 }, () => session.runBorrowed(loopFeeds(1000n), { thread: 'own' }))
    const results = await Promise.all(runs)
    for (const result of results) result.release()
    // As many as all of them take, and one that waits.
    if (results.every(({ waitedMs = 0 }) => waitedMs > 0)) return
  }
  throw new Error('the threads did not start')
}

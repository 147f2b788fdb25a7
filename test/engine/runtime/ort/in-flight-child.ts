import { createOrtRuntime } from '../../../../src/engine/runtime/ort/index.ts'
import { endless, loopFeeds, loopModel, numbersOf } from '../conformance/models.ts'

// Eight runs without an end, and one that gets through beside them; then the process ends as its argument says.
const runtime = createOrtRuntime()
const session = await runtime.createSession({ bytes: loopModel }, { session: { intraOpThreads: 1 } })
const controller = new AbortController()
const runs = Array.from({ length: 8 }, () => session.run(loopFeeds(endless), { signal: controller.signal }))
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
await endings[process.argv[2] ?? '']?.()

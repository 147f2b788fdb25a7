// As many runs at a time as there are cores and nothing around them: what a server could reach at most.
import { availableParallelism } from 'node:os'
import { createOrtRuntime } from '../../src/engine/runtime/ort/index.ts'
import { resolveOptions } from '../../src/serving/deployments/options.ts'

const [path = '', input = '', shape = ''] = process.argv.slice(2)
const cores = availableParallelism()
const runtime = createOrtRuntime({ maxRunsInFlight: cores, runThreads: cores })
const { session: options } = resolveOptions({}, {}, cores)
const session = await runtime.createSession({ path }, { session: options })
const dims = shape.split(',').map(Number)
const values = Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => Math.random())
const feeds = { [input]: { dtype: 'float32', dims, bytes: new Uint8Array(values.buffer) } } as const

/** Runs per second, and the median of what one took. */
export interface LoopResult {
  readonly runsPerSecond: number
  readonly p50Ms: number
}

async function loop(until: number, times: number[]): Promise<void> {
  while (performance.now() < until) {
    const startedAt = performance.now()
    const outputs = await session.runBorrowed(feeds, { thread: 'own' })
    outputs.release()
    times.push(performance.now() - startedAt)
  }
}

process.on('message', ({ seconds }: { readonly seconds: number }) => {
  void (async () => {
    const startedAt = performance.now()
    const times: number[] = []
    await Promise.all(Array.from({ length: cores }, () => loop(startedAt + seconds * 1000, times)))
    const runsPerSecond = (times.length * 1000) / (performance.now() - startedAt)
    const p50Ms = times.toSorted((a, b) => a - b)[times.length >> 1] ?? Number.NaN
    process.send?.({ runsPerSecond, p50Ms } satisfies LoopResult)
  })()
})
process.send?.({ url: '' })

import { differentiate } from '../src/engine/autodiff/index.ts'
import { deepModel } from '../test/engine/autodiff/deep-model.ts'
import type { BenchResult } from './result.ts'

const nodes = 500
const rounds = 9
const maxMs = 1_000

/** How long it takes to append the backward graph of a residual net by all its parameters; nothing is run. */
export async function run(): Promise<BenchResult> {
  const times: number[] = []
  let [before, after] = [0, 0]
  for (let round = 0; round < rounds; round += 1) {
    const model = deepModel(nodes)
    before = model.graph.nodes.size
    const wanted = [...model.graph.initializers].map(({ name }) => name)
    const started = performance.now()
    differentiate(model, { loss: 'loss', wanted })
    times.push(performance.now() - started)
    after = model.graph.nodes.size
  }
  // The first round has code to compile, as the first job of a process has.
  const [first = Number.NaN] = times
  const median = times.toSorted((a, b) => a - b)[Math.floor(rounds / 2)] as number
  return Promise.resolve({
    name: 'autodiff',
    method: `a residual net of ${before} nodes, differentiated by all its parameters, ${rounds} times in one process`,
    figures: [
      { name: 'nodes with the backward graph', value: after, unit: 'nodes' },
      { name: 'the first time', value: first, unit: 'ms' },
      { name: 'median', value: median, unit: 'ms' },
    ],
    targets: [
      {
        text: `backward graph of ${nodes} nodes in under a second, the first time too`,
        met: Math.max(...times) < maxMs,
      },
    ],
  })
}

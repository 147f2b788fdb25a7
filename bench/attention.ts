import { attribute } from '../src/engine/ir/attribute.ts'
import type { Graph, Value } from '../src/engine/ir/graph.ts'
import { createModel, importOpset, type Model } from '../src/engine/ir/model.ts'
import { tensorOf, type Tensor } from '../src/engine/ir/tensor.ts'
import { createRandom } from '../src/engine/data/random.ts'
import { encodeModel } from '../src/engine/onnx/index.ts'
import { createOrtRuntime } from '../src/engine/runtime/ort/index.ts'
import type { Feeds, Session } from '../src/engine/runtime/port.ts'
import { estimateRatio, type RatioEstimate } from './stats.ts'
import type { BenchResult } from './result.ts'

const rounds = 9
const roundMs = 250
const shapes = [
  { heads: 4, size: 32, length: 64 },
  { heads: 6, size: 64, length: 197 },
  { heads: 12, size: 64, length: 512 },
] as const

/** A mask of a number for each pair of tokens, or for each token, which the kernel wants repeated. */
const masks = { none: '', pairs: ', masked pairs', tokens: ', masked tokens' }

type Shape = (typeof shapes)[number]

/** What fused kernels of the runtime gain on the CPU: the evidence for and against rewrite rules. */
export async function run(): Promise<BenchResult> {
  const figures: BenchResult['figures'][number][] = []
  for (const shape of shapes) {
    const at = `${shape.heads} × ${shape.size}, ${shape.length} tokens`
    for (const [mask, words] of Object.entries(masks)) {
      const ratio = await compare([writtenOut(shape, mask), fused(shape, mask)], shape)
      figures.push({ name: `MultiHeadAttention${words}: ${at}`, ...ratio, unit: '×' })
    }
    const ratio = await compare([plainNorm(shape), skipNorm(shape)], shape)
    figures.push({ name: `SkipLayerNormalization: ${at}`, ...ratio, unit: '×' })
  }
  return {
    name: 'attention',
    method: `time of the plain nodes / time of the fused one, 1 thread, ${rounds} interleaved rounds; over 1 is faster`,
    figures,
    targets: [],
  }
}

function start({ heads, size, length }: Shape, mask: string): { model: Model; values: Value[] } {
  const model = createModel()
  importOpset(model, 'com.microsoft', 1)
  const type = { dtype: 'float32', dims: [1, length, heads * size] } as const
  const values = ['q', 'k', 'v'].map((name) => model.graph.addInput(name, type))
  const rows = mask === 'pairs' ? length : 1
  if (mask !== 'none') values.push(model.graph.addInput('mask', { dtype: 'float32', dims: [1, 1, rows, length] }))
  return { model, values }
}

function emit(graph: Graph, opType: string, inputs: (Value | undefined)[], init: object = {}): Value {
  return graph.addNode({ opType, inputs, ...init }).outputs[0] as Value
}

function finish(model: Model, output: Value): Uint8Array {
  output.type = { dtype: 'float32', dims: null }
  model.graph.addOutput(output)
  return encodeModel(model)
}

function writtenOut(shape: Shape, masking: string): Uint8Array {
  const { model, values } = start(shape, masking)
  const { graph } = model
  const ints = (name: string, ...list: number[]) =>
    graph.addInitializer(name, tensorOf('int64', [list.length], BigInt64Array.from(list, BigInt)))
  const apart = ints('apart', 0, 0, shape.heads, shape.size)
  const split = (value: Value | undefined, perm: number[]) =>
    emit(graph, 'Transpose', [emit(graph, 'Reshape', [value, apart])], { attributes: { perm: attribute.ints(perm) } })
  const [q, k, v, mask] = values
  const root = graph.addInitializer('root', tensorOf('float32', [], Float32Array.of(shape.size ** -0.5)))
  const product = emit(graph, 'MatMul', [split(q, [0, 2, 1, 3]), split(k, [0, 2, 3, 1])])
  const scores = emit(graph, 'Mul', [product, root])
  const weights = emit(graph, 'Softmax', [mask === undefined ? scores : emit(graph, 'Add', [scores, mask])])
  const mixed = emit(graph, 'MatMul', [weights, split(v, [0, 2, 1, 3])])
  const back = emit(graph, 'Transpose', [mixed], { attributes: { perm: attribute.ints([0, 2, 1, 3]) } })
  return finish(model, emit(graph, 'Reshape', [back, ints('together', 0, 0, shape.heads * shape.size)]))
}

function fused(shape: Shape, masking: string): Uint8Array {
  const { model, values } = start(shape, masking)
  const [q, k, v, given] = values
  const { length } = shape
  const wide = tensorOf('int64', [4], BigInt64Array.from([1, 1, length, length], BigInt))
  const repeats = masking === 'tokens'
  const mask = repeats ? emit(model.graph, 'Expand', [given, model.graph.addInitializer('wide', wide)]) : given
  const attributes = { num_heads: attribute.int(shape.heads), scale: attribute.float(shape.size ** -0.5) }
  const inputs = [q, k, v, undefined, undefined, mask]
  return finish(model, emit(model.graph, 'MultiHeadAttention', inputs, { domain: 'com.microsoft', attributes }))
}

function plainNorm(shape: Shape): Uint8Array {
  const { model, values } = start(shape, 'none')
  const [x, skip, other] = values
  // Not Add, which the runtime would fuse by itself.
  const sum = emit(model.graph, 'Sum', [x, skip])
  const weights = normWeights(model.graph, shape)
  const attributes = { axis: attribute.int(-1), epsilon: attribute.float(1e-5) }
  const normed = emit(model.graph, 'LayerNormalization', [sum, ...weights], { attributes })
  return finish(model, emit(model.graph, 'Sub', [normed, other]))
}

function skipNorm(shape: Shape): Uint8Array {
  const { model, values } = start(shape, 'none')
  const [x, skip, other] = values
  const weights = normWeights(model.graph, shape)
  const init = { domain: 'com.microsoft', attributes: { epsilon: attribute.float(1e-5) } }
  const normed = emit(model.graph, 'SkipLayerNormalization', [x, skip, ...weights], init)
  return finish(model, emit(model.graph, 'Sub', [normed, other]))
}

function normWeights(graph: Graph, { heads, size }: Shape): Value[] {
  const ones = new Float32Array(heads * size).fill(1)
  return ['gamma', 'beta'].map((name) => graph.addInitializer(name, tensorOf('float32', [ones.length], ones)))
}

/** Time of the first model / time of the second, over rounds in turn. */
async function compare(models: readonly Uint8Array[], shape: Shape): Promise<RatioEstimate> {
  const runtime = createOrtRuntime()
  const sessions: Session[] = []
  for (const bytes of models) {
    sessions.push(await runtime.createSession({ bytes }, { session: { intraOpThreads: 1 } }))
  }
  const feeds = feedsOf(sessions[0] as Session, shape)
  const ratios: number[] = []
  for (let round = 0; round <= rounds; round += 1) {
    const times = [0, 0]
    const end = performance.now() + roundMs
    while (performance.now() < end) {
      for (const [index, session] of sessions.entries()) {
        const began = performance.now()
        await session.run(feeds)
        times[index] = (times[index] as number) + performance.now() - began
      }
    }
    // The first round warms up.
    if (round > 0) ratios.push((times[0] as number) / (times[1] as number))
  }
  for (const session of sessions) await session.release()
  await runtime.close()
  return estimateRatio(ratios)
}

function feedsOf(session: Session, { length }: Shape): Feeds {
  const random = createRandom(1)
  const entries = session.inputs.map(({ name, dims }): [string, Tensor] => {
    const sizes = (dims ?? []).map((dim) => (typeof dim === 'number' ? dim : length))
    const count = sizes.reduce((product, size) => product * size, 1)
    return [
      name,
      tensorOf(
        'float32',
        sizes,
        Float32Array.from({ length: count }, () => random() - 0.5),
      ),
    ]
  })
  return Object.fromEntries(entries)
}

import { rm } from 'node:fs/promises'
import path from 'node:path'
import { HastenError } from '../../../errors.ts'
import { createModel, type Model } from '../../ir/model.ts'
import { tensorOf } from '../../ir/tensor.ts'
import { saveModel } from '../../onnx/index.ts'
import { opAttributes } from '../../ops/index.ts'
import type { PassContext } from '../pass.ts'
import { packBlocks, type PackedBlocks } from './pack.ts'
import { blocksPerRow, type BlockLayout } from './blocks.ts'
import { timeProducts } from './time-products.ts'

/** What MatMulNBits computes in: 1 float32, 4 activations rounded to int8 in blocks. 0 (unset) is 1 on CPUs. */
export type AccuracyLevel = 1 | 4

/** A product of one shape, as a node of the model computes it. */
export interface ProductShape extends BlockLayout {
  readonly hasZeroPoints: boolean
  /** Rows of the activations. */
  readonly samples: number
}

export interface LevelChoice {
  readonly level: AccuracyLevel
  /** Median milliseconds of the product alone on this host. */
  readonly float: number
  readonly chosen: number
}

/** int8 activations cost accuracy, so they must gain this much over float32 ones. */
const worthwhile = 0.9

const levels = [1, 4] as const

/**
 * Measures a product on this host with float weights and in both accuracy levels. Which one is slow depends on bits,
 * block size, rows and CPU: with 8 bits the unset level has been seen 200 times slower than the other.
 */
export async function chooseLevel(shape: ProductShape, budgetMs: number, context: PassContext): Promise<LevelChoice> {
  const packed = packBlocks(sampleWeight(shape))
  const models = [floatProduct(shape), ...levels.map((level) => blockProduct(shape, packed, level))]
  const names = ['float', ...levels.map((level) => `level-${level}`)]
  const files = names.map((name) => path.join(context.workDir, `product-${name}.onnx`))
  try {
    for (const [index, model] of models.entries()) await saveModel(model, files[index] ?? '')
    const [float = 0, exact = 0, rounded = 0] = await timeModels(files, budgetMs, context)
    return rounded < worthwhile * exact ? { level: 4, float, chosen: rounded } : { level: 1, float, chosen: exact }
  } finally {
    for (const file of files) await rm(file, { force: true })
  }
}

async function timeModels(files: readonly string[], budgetMs: number, context: PassContext): Promise<number[]> {
  const { measure, runtime, target, signal } = context
  const session = target.threads === undefined ? {} : { intraOpThreads: target.threads }
  if (measure === undefined) return timeProducts(files, session, budgetMs, { runtime, signal })
  const times: number[] = []
  for (const file of files) {
    const [timing] = await measure(file, [session], { budgetMs: budgetMs / files.length, signal })
    if (timing === undefined) throw new HastenError('internal', 'a product was not timed')
    times.push(timing.medianMs)
  }
  return times
}

/** Any weights do: the time of a product does not depend on them. */
function sampleWeight(shape: ProductShape) {
  const blocks = shape.rows * blocksPerRow(shape)
  const integers = new Uint8Array(blocks * shape.blockSize).map((_, index) => (index * 7) % 2 ** shape.bits)
  const zeroPoints = shape.hasZeroPoints ? new Uint8Array(blocks).fill(1) : undefined
  return { ...shape, integers, scales: new Float32Array(blocks).fill(0.01), zeroPoints }
}

function productModel({ samples, depth, rows }: ProductShape): Model {
  const model = createModel()
  model.graph.addInput('x', { dtype: 'float32', dims: [samples, depth] })
  model.graph.name = `${samples}x${depth}x${rows}`
  return model
}

function floatProduct(shape: ProductShape): Model {
  const model = productModel(shape)
  const { graph } = model
  const values = new Float32Array(shape.depth * shape.rows).map((_, index) => (index % 13) / 13 - 0.5)
  const weight = graph.addInitializer('w', tensorOf('float32', [shape.depth, shape.rows], values))
  expose(model, graph.addNode({ opType: 'MatMul', inputs: [graph.inputs[0], weight], outputs: ['y'] }), shape)
  return model
}

function blockProduct(shape: ProductShape, packed: PackedBlocks, level: AccuracyLevel): Model {
  const model = productModel(shape)
  model.opsetImports.set('com.microsoft', 1)
  const { graph } = model
  const parts = [packed.data, packed.scales, packed.zeroPoints].map((tensor, index) =>
    tensor === undefined ? undefined : graph.addInitializer(`w${index}`, tensor),
  )
  const node = graph.addNode({
    opType: 'MatMulNBits',
    domain: 'com.microsoft',
    inputs: [graph.inputs[0], ...parts],
    outputs: ['y'],
    attributes: productAttributes(shape, level),
  })
  expose(model, node, shape)
  return model
}

function expose({ graph }: Model, { outputs: [output] }: { outputs: Model['graph']['outputs'] }, shape: ProductShape) {
  if (output === undefined) return
  output.type = { dtype: 'float32', dims: [shape.samples, shape.rows] }
  graph.addOutput(output)
}

export function productAttributes({ depth, rows, bits, blockSize }: BlockLayout, level: AccuracyLevel) {
  const plain = { K: depth, N: rows, bits, block_size: blockSize, accuracy_level: level }
  return opAttributes('MatMulNBits', plain, 'com.microsoft')
}

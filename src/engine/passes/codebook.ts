import { setImmediate } from 'node:timers/promises'
import type { TSchema } from 'typebox'
import { Default } from 'typebox/value'
import { createRandom } from '../data/random.ts'
import { cloneModel } from '../ir/clone.ts'
import type { Graph, Node, Value } from '../ir/graph.ts'
import { graphsWithin, type Model } from '../ir/model.ts'
import { elementCount } from '../ir/tensor.ts'
import { constantValue, opDefinition } from '../ops/index.ts'
import { removeUnusedInitializers } from '../rewrite/dead.ts'
import { addDecoder, moveToFront } from './codebook/decode-nodes.ts'
import { checkBits, decode, encode } from './codebook/encode.ts'
import { floatsOf } from './compare-tensors.ts'
import { upgradeOpset } from '../rewrite/opset/upgrade.ts'
import { quantizeWeightsOptions } from './options/quantize-weights.ts'
import { definePass, type Note, type PassContext, type PassOptions, type PassResult, type Warning } from './pass.ts'
import { quantizeWeightsPass } from './quantize-weights.ts'
import { runPass } from './run-pass.ts'
import { isExcluded } from './quantize/linear-nodes.ts'
import { liftConstants } from '../rewrite/lift-constants.ts'

type Options = PassOptions<'codebook'>

/** Weights as packed indices with what decodes them, in any number of bits. Compression: the runtime computes in float. */
export const codebookPass = definePass({
  name: 'codebook',
  stage: 'optimize',
  version: 2,
  async run(original, options, context): Promise<PassResult> {
    const limit = checkBits(options.scheme, options.bits)
    if (limit !== undefined) return { model: original, modified: false, notes: [{ action: 'skipped', reason: limit }] }
    const fast = await useKernels(original, options, context)
    const rest = await compressRest(fast?.model ?? original, options, context)
    if (fast === undefined || !fast.modified) return rest
    const warnings = [...(fast.warnings ?? []), ...(rest.warnings ?? [])]
    return { model: rest.model, modified: true, notes: [...fast.notes, ...rest.notes], warnings }
  },
})

type WeightOptions = PassOptions<'quantize.weights'>

const blockSizes = [16, 32, 64, 128, 256] as const

/** Weights that the runtime has a fast kernel for become that kernel's; undefined where it has none of this scheme. */
async function useKernels(model: Model, options: Options, context: PassContext): Promise<PassResult | undefined> {
  const { scheme, bits, kernels, minElements, exclude } = options
  if (kernels === 'never' || scheme !== 'linear' || (bits !== 2 && bits !== 4 && bits !== 8)) return undefined
  const schema: TSchema = quantizeWeightsOptions
  const given: Partial<WeightOptions> = { bits, method: 'rtn', minElements, exclude }
  const filled = Default(schema, given) as WeightOptions
  const ops = filled.ops.filter((op) => options.ops.includes(op))
  const blockSize = blockSizes.find((size) => size === options.blockSize) ?? filled.blockSize
  const result = await runPass(quantizeWeightsPass, model, { ...filled, ops, blockSize }, context)
  return { ...result, notes: result.notes.filter(({ action }) => action === 'done') }
}

async function compressRest(original: Model, options: Options, { signal, progress }: PassContext): Promise<PassResult> {
  const unchanged = (notes: readonly Note[]) => ({ model: original, modified: false, notes })
  const model = cloneModel(original)
  liftConstants(model)
  const declined = upgradeOpset(model)
  if (declined !== undefined) return unchanged([{ action: 'skipped', reason: declined }])
  const weights = [...graphsWithin(model.graph)].flatMap((graph) => findWeights(graph, options))
  const notes: Note[] = []
  for (const [index, weight] of weights.entries()) {
    notes.push(compress(weight, options))
    progress(index + 1, weights.length, 'weights')
    await setImmediate()
    signal.throwIfAborted()
  }
  if (!notes.some(({ action }) => action === 'done')) return unchanged(notes)
  removeUnusedInitializers(model)
  return { model, modified: true, notes, warnings: [compressionWarning] }
}

const compressionWarning: Warning = {
  code: 'compression_only',
  hint:
    'Weights in a codebook make the file smaller, not the model faster: the runtime decodes them once when it loads and ' +
    'computes in float. The speed that the job measured is that of the float model.',
}

interface Weight {
  readonly graph: Graph
  readonly value: Value
  /** The node that says which axis the channels are on. */
  readonly reader: Node
}

/** Weights in recurrent nodes are [directions, gates, inputs]: the gates are the channels. */
const recurrentAxis = 1

function findWeights(graph: Graph, { ops, exclude }: Options): Weight[] {
  return [...graph.initializers].flatMap((value) => {
    const uses = [...value.uses]
    const reader = uses.find(
      ({ node, index }) => (ops as readonly string[]).includes(node.opType) && isWeight(node, index),
    )
    if (reader === undefined || value.isGraphInput || value.isGraphOutput) return []
    if (exclude.includes(value.name) || uses.some(({ node }) => isExcluded(node, exclude))) return []
    return [{ graph, value, reader: reader.node }]
  })
}

function isWeight(node: Node, index: number): boolean {
  if (node.domain !== '') return false
  if (node.opType === 'Gather') return index === 0 && constantValue(node.inputs[0])?.dims.length === 2
  if (node.opType === 'MatMul') return true
  const weightInput = opDefinition(node)?.quantizable?.weightInput
  return weightInput === undefined ? index === 1 || index === 2 : index === weightInput
}

function channelAxis(reader: Node, rank: number): number {
  const { opType } = reader
  if (opType === 'LSTM' || opType === 'GRU' || opType === 'RNN') return Math.min(recurrentAxis, rank - 1)
  return Math.max(0, opDefinition(reader)?.quantizable?.channelAxis(reader, rank) ?? 0)
}

function compress({ graph, value, reader }: Weight, options: Options): Note {
  const skip = (reason: string): Note => ({ node: value.name, op: reader.opType, action: 'skipped', reason })
  const tensor = constantValue(value)
  const values = tensor?.dtype === 'float32' ? floatsOf(tensor) : undefined
  if (tensor === undefined || !(values instanceof Float32Array)) return skip(`it is ${tensor?.dtype ?? 'not constant'}`)
  if (!values.every(Number.isFinite)) return skip('it is not finite')
  const count = elementCount(tensor.dims)
  if (count < Math.max(1, options.minElements))
    return skip(`it has ${count} elements, fewer than ${options.minElements}`)
  const axis = options.perChannel && tensor.dims.length > 1 ? channelAxis(reader, tensor.dims.length) : 0
  const groupSize = sizeOfGroup(tensor.dims, axis, options)
  const arranged = moveToFront(values, tensor.dims, axis)
  const encoded = encode(arranged, groupSize, { ...options, random: createRandom(options.seed) })
  const before = values.byteLength
  const { value: decoded, bytes } = addDecoder(graph, value.name, encoded, { dims: tensor.dims, axis, groupSize })
  if (bytes >= before)
    return undo(graph, decoded, skip(`with its tables it would take ${bytes} bytes instead of ${before}`))
  graph.replaceAllUses(value, decoded)
  const quality = signalToNoise(arranged, decode(encoded, groupSize))
  const reason = `${encoded.bits} bits (${options.scheme}): ${before} bytes became ${bytes}, ${quality}`
  return { node: value.name, op: reader.opType, action: 'done', reason }
}

function sizeOfGroup(dims: readonly number[], axis: number, { perChannel, blockSize }: Options): number {
  const count = elementCount(dims)
  const channel = perChannel && dims.length > 1 ? count / (dims[axis] ?? 1) : count
  return blockSize > 0 && channel % blockSize === 0 ? blockSize : channel
}

/** Takes back a decoder that nothing reads. */
function undo(graph: Graph, decoded: Value, note: Note): Note {
  const pending = [decoded.producer]
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    const inputs = node.inputs.filter((input) => input !== undefined)
    if (node.graph === undefined || node.outputs.some((output) => output.uses.size > 0)) continue
    graph.removeNode(node)
    for (const input of inputs) {
      if (input.producer !== undefined) pending.push(input.producer)
      else if (input.uses.size === 0) graph.removeInitializer(input)
    }
  }
  return note
}

function signalToNoise(values: Float32Array, decoded: Float32Array): string {
  let [signal, noise] = [0, 0]
  for (const [index, value] of values.entries()) {
    signal += value ** 2
    noise += (value - (decoded[index] as number)) ** 2
  }
  return noise === 0 ? 'exact' : `${(10 * Math.log10(signal / noise)).toFixed(1)} dB above the error`
}

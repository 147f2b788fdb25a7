import { attribute, type Attribute } from '../../ir/attribute.ts'
import { dtypeTable } from '../../ir/dtype.ts'
import type { Graph, Value } from '../../ir/graph.ts'
import { elementCount, tensorOf, type NumericTensor } from '../../ir/tensor.ts'
import type { Encoded } from './encode.ts'
import { splitPlanes, type Plane } from './planes.ts'

/** How the groups of a weight lie in it. */
export interface Layout {
  readonly dims: readonly number[]
  /** The axis that was moved to the front before encoding. */
  readonly axis: number
  /** Elements of a group. */
  readonly groupSize: number
}

/** A graph that grows by what decodes one weight. */
interface Builder {
  readonly op: (opType: string, inputs: readonly Value[], attributes?: Readonly<Record<string, Attribute>>) => Value
  readonly constant: (suffix: string, tensor: NumericTensor) => Value
  readonly ints: (suffix: string, values: readonly number[]) => Value
  readonly bytes: () => number
}

/**
 * Adds the nodes that decode a weight, in standard operators of opset 13 that the runtime evaluates once, at load:
 * planes are unpacked by division and remainder, added up to indices, and looked up or scaled.
 * @returns the decoded value, and the bytes of all tensors that were added
 */
export function addDecoder(
  graph: Graph,
  name: string,
  encoded: Encoded,
  layout: Layout,
): { value: Value; bytes: number } {
  const build = builderFor(graph, name)
  const { indices, bits, decoder } = encoded
  const planes = splitPlanes(indices, bits).map((plane) => unpack(build, plane, indices.length))
  const index = planes.reduce((sum, plane) => build.op('Add', [sum, plane]))
  const groups = indices.length / layout.groupSize
  const grouped = build.op('Reshape', [index, build.ints('groups', [groups, layout.groupSize])])
  const decoded = lookUp(build, grouped, decoder, groups)
  return { value: restoreLayout(build, decoded, layout), bytes: build.bytes() }
}

function builderFor(graph: Graph, name: string): Builder {
  let bytes = 0
  const constant = (suffix: string, tensor: NumericTensor) => {
    bytes += tensor.bytes.byteLength
    return graph.addInitializer(graph.freshName(`${name}/${suffix}`), tensor)
  }
  return {
    op: (opType, inputs, attributes = {}) =>
      graph.addNode({ opType, name: graph.freshName(`${name}/${opType}`), inputs, attributes }).outputs[0] as Value,
    constant,
    ints: (suffix, values) => constant(suffix, tensorOf('int64', [values.length], BigInt64Array.from(values, BigInt))),
    bytes: () => bytes,
  }
}

/** The bytes of a plane as int32 indices, shifted to where they belong. */
function unpack({ op, constant, ints }: Builder, { shift, bits, bytes }: Plane, count: number): Value {
  const int32 = (suffix: string, values: readonly number[]) =>
    constant(suffix, tensorOf('int32', [values.length], Int32Array.from(values)))
  const packed = constant(`bits_${shift}`, tensorOf('uint8', [bytes.length, 1], bytes))
  const wide = op('Cast', [packed], { to: attribute.int(dtypeTable.int32.onnx) })
  const perByte = 8 / bits
  let values = wide
  if (perByte > 1) {
    const divisors = Array.from({ length: perByte }, (_, index) => 2 ** (bits * index))
    values = op('Mod', [op('Div', [wide, int32('divisors', divisors)]), int32('radix', [2 ** bits])])
  }
  const flat = op('Reshape', [values, ints('flat', [-1])])
  const exact = bytes.length * perByte === count ? flat : op('Slice', [flat, ints('start', [0]), ints('end', [count])])
  return shift === 0 ? exact : op('Mul', [exact, int32('place', [2 ** shift])])
}

function lookUp({ op, constant }: Builder, indices: Value, decoder: Encoded['decoder'], groups: number): Value {
  const perGroup = (suffix: string, values: Float32Array) =>
    constant(suffix, tensorOf('float32', [groups, 1], Float32Array.from(values)))
  if (decoder.kind === 'linear') {
    const floats = op('Cast', [indices], { to: attribute.int(dtypeTable.float32.onnx) })
    return op('Add', [op('Mul', [floats, perGroup('step', decoder.step)]), perGroup('low', decoder.low)])
  }
  if (decoder.kind === 'scaled') {
    const table = constant('codebook', tensorOf('float32', [decoder.table.length], Float32Array.from(decoder.table)))
    return op('Mul', [op('Gather', [table, indices]), perGroup('scale', decoder.scale)])
  }
  const { tables, size } = decoder
  const starts = Int32Array.from({ length: groups }, (_, group) => group * size)
  const codebook = constant('codebook', tensorOf('float32', [tables.length], Float32Array.from(tables)))
  const first = groups === 1 ? indices : op('Add', [indices, constant('first', tensorOf('int32', [groups, 1], starts))])
  return op('Gather', [codebook, first])
}

/** From groups back to the weight's own dims, its channel axis where it was. */
function restoreLayout({ op, ints }: Builder, grouped: Value, { dims, axis }: Layout): Value {
  const moved = [dims[axis] ?? 1, ...dims.filter((_, index) => index !== axis)]
  const shaped = op('Reshape', [grouped, ints('dims', axis === 0 ? dims : moved)])
  if (axis === 0) return shaped
  const others = dims.map((_, index) => index).filter((index) => index !== axis)
  const order = [axis, ...others]
  return op('Transpose', [shaped], { perm: attribute.ints(dims.map((_, index) => order.indexOf(index))) })
}

/** Moves an axis of a row-major tensor to the front. */
export function moveToFront(values: Float32Array, dims: readonly number[], axis: number): Float32Array {
  if (axis === 0) return values
  const channels = dims[axis] ?? 1
  const inner = elementCount(dims.slice(axis + 1))
  const outer = elementCount(dims.slice(0, axis))
  const result = new Float32Array(values.length)
  for (let index = 0; index < values.length; index += 1) {
    const channel = Math.floor(index / inner) % channels
    const before = Math.floor(index / (inner * channels))
    result[(channel * outer + before) * inner + (index % inner)] = values[index] as number
  }
  return result
}

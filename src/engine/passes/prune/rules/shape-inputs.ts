import { attribute, getInts } from '../../../ir/attribute.ts'
import type { Node, Value } from '../../../ir/graph.ts'
import { tensorOf, type Tensor } from '../../../ir/tensor.ts'
import { numbersOf } from '../../../rewrite/constants.ts'
import type { Walk } from '../channels.ts'

/**
 * Integers that a node has as an attribute in older opsets and as an input since; undefined where it has neither, `open`
 * where they are computed.
 */
export function intsAt(node: Node, walk: Walk, name: string, input: number): number[] | undefined | 'open' {
  const given = getInts(node, name)
  if (given !== undefined) return given
  if (node.inputs[input] === undefined) return undefined
  const tensor = walk.constantOf(node.inputs[input])
  return (tensor && numbersOf(tensor)) ?? 'open'
}

/** Writes integers where `intsAt` read them. Nodes that share the constant keep theirs. */
export function writeInts(node: Node, name: string, input: number, values: readonly number[]): void {
  if (node.attributes.has(name)) return node.setAttribute(name, attribute.ints(values))
  const { graph } = node
  if (graph === undefined) return
  const old = node.inputs[input]
  const fresh = graph.addInitializer(graph.freshName(old?.name ?? `${node.name}.${name}`), integers(values, old))
  node.setInput(input, fresh)
}

function integers(values: readonly number[], like: Value | undefined): Tensor {
  // Behind a Cast the constant that it cast was of another type; shapes are int64.
  return like?.initializer?.dtype === 'int32'
    ? tensorOf('int32', [values.length], Int32Array.from(values))
    : tensorOf('int64', [values.length], BigInt64Array.from(values, BigInt))
}

/** One element of a shape that a node reads: a number in a constant, and how to write another. */
export interface ShapeElement {
  readonly value: number
  readonly write: (value: number) => void
}

/**
 * Element `index` of the shape in an input, where it is a number: in a constant, or in a constant piece of the Concat
 * that puts the shape together.
 */
export function shapeElement(node: Node, walk: Walk, input: number, index: number): ShapeElement | undefined {
  const whole = intsAt(node, walk, 'shape', input)
  if (whole === undefined) return undefined
  if (whole !== 'open') {
    return {
      value: whole[index] as number,
      // Read again when written: another axis of the same shape may have changed meanwhile.
      write: (value) => {
        const now = intsAt(node, walk, 'shape', input)
        if (Array.isArray(now)) writeInts(node, 'shape', input, now.with(index, value))
      },
    }
  }
  const concat = node.inputs[input]?.producer
  if (concat?.opType !== 'Concat' || node.inputs[input]?.uses.size !== 1) return undefined
  return pieceOf(concat, walk, index)
}

function pieceOf(concat: Node, walk: Walk, index: number): ShapeElement | undefined {
  let start = 0
  for (const [input, piece] of concat.inputs.entries()) {
    const length = walk.dimsOf(piece)?.[0]
    if (typeof length !== 'number') return undefined
    const values = constantInts(piece, walk)
    const at = index - start
    if (at < length && values !== undefined) {
      return {
        value: values[at] as number,
        write: (value) => {
          const now = constantInts(concat.inputs[input], walk)
          if (now !== undefined) writeInts(concat, '', input, now.with(at, value))
        },
      }
    }
    if (at < length) return undefined
    start += length
  }
  return undefined
}

/** Integers of a constant, also behind a Cast, as some exporters write them. */
function constantInts(value: Value | undefined, walk: Walk): number[] | undefined {
  const tensor = walk.constantOf(value)
  if (tensor !== undefined) return numbersOf(tensor)
  const cast = value?.producer
  return cast?.opType === 'Cast' ? constantInts(cast.inputs[0], walk) : undefined
}

/** Whether what reads a shape takes only elements other than `axis` of it. */
export function readsOtherDims(shape: Value, axis: number, walk: Walk): boolean {
  if (shape.isGraphOutput) return false
  return [...shape.uses].every(({ node, index }) => {
    const [first] = node.outputs
    if (first === undefined || index !== 0) return false
    if (node.opType === 'Cast' || node.opType === 'Identity') return readsOtherDims(first, axis, walk)
    if (node.opType === 'Slice') return slicesOthers(node, walk, axis)
    if (node.opType !== 'Gather') return false
    const indices = intsAt(node, walk, '', 1)
    return Array.isArray(indices) && indices.every((each) => each >= 0 && each !== axis)
  })
}

function slicesOthers(node: Node, walk: Walk, axis: number): boolean {
  const [starts, ends] = [intsAt(node, walk, 'starts', 1), intsAt(node, walk, 'ends', 2)]
  if (!Array.isArray(starts) || !Array.isArray(ends)) return false
  const [start = -1, end = -1] = [starts[0], ends[0]]
  return start >= 0 && end >= 0 && (axis < start || axis >= end)
}

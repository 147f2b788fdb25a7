import { HastenError } from '../../errors.ts'
import type { Node, Value } from '../ir/graph.ts'
import type { Model } from '../ir/model.ts'
import { tensorOf, type NumericTensor } from '../ir/tensor.ts'
import type { Dim, ValueType } from '../ir/value-type.ts'
import { inferTypes, opAttributes, opDefinition, type PlainAttribute } from '../ops/index.ts'
import { floatTensor } from './float-tensor.ts'

/** A value, or a number that becomes a scalar constant of the dtype of the first float value beside it. */
export type Operand = Value | number

type Attributes = Readonly<Record<string, PlainAttribute>>
type Operands = readonly (Operand | undefined)[]

/** Appends nodes of ai.onnx to the graph of a model and knows the type of what they give. */
export interface Core {
  /** Version of ai.onnx that the model imports. */
  readonly opset: number
  /** Appends a node with one output. */
  readonly op: (opType: string, inputs: Operands, attributes?: Attributes) => Value
  /** Appends a node with several outputs. */
  readonly ops: (opType: string, inputs: Operands, count: number, attributes?: Attributes) => Value[]
  readonly type: (value: Value) => ValueType
  /** @throws HastenError `not_differentiable` when the rank is unknown */
  readonly dims: (value: Value) => readonly Dim[]
  /** The dims when every one is a number. */
  readonly staticDims: (value: Value) => readonly number[] | undefined
  /** A constant of the dtype of `like`: a scalar, or of `dims`. */
  readonly floats: (like: Value, values: readonly number[], dims?: readonly number[]) => Value
  /** A constant int64 vector. */
  readonly ints: (values: readonly number[]) => Value
  /** Declares a type that inference can't tell; gives the value back. */
  readonly setType: (value: Value, type: ValueType) => Value
  /** Declares the inferred types of a node's outputs. */
  readonly inferOutputs: (node: Node) => void
  /** What follows is named after this node. */
  readonly enter: (scope: string) => void
}

export function createCore(model: Model): Core {
  const { graph } = model
  const types = inferTypes(model)
  const constants = new Map<string, Value>()
  let scope = 'loss'

  const type = (value: Value): ValueType => {
    const found = types.of(value)
    if (found === undefined) throw new HastenError('not_differentiable', `the type of value '${value.name}' is unknown`)
    return found
  }
  const dims = (value: Value) => {
    const found = type(value).dims
    if (found === null) throw new HastenError('not_differentiable', `the rank of value '${value.name}' is unknown`)
    return found
  }
  // The same value for the same content, so that the graph does not fill with shapes and axes.
  const constant = (tensor: NumericTensor): Value => {
    const key = `${tensor.dtype} ${tensor.dims.join(',')} ${Buffer.from(tensor.bytes).toString('base64')}`
    const known = constants.get(key)
    if (known !== undefined) return known
    const made = graph.addInitializer(graph.freshName('grad_constant'), tensor)
    constants.set(key, made)
    return made
  }
  const floats: Core['floats'] = (like, values, shape = []) => constant(floatTensor(type(like).dtype, shape, values))
  const inferOutputs = (node: Node) => {
    const found = opDefinition(node)?.types?.(types.context(node)) ?? []
    node.outputs.forEach((output, index) => (output.type = found[index]))
  }
  const ops: Core['ops'] = (opType, operands, count, attributes = {}) => {
    const inputs = valuesOf(operands, floats)
    const name = graph.freshName(`${scope}/grad/${opType}`)
    const node = graph.addNode({ opType, name, inputs, outputs: count, attributes: opAttributes(opType, attributes) })
    inferOutputs(node)
    return [...node.outputs]
  }
  return {
    opset: model.opsetImports.get('') ?? 1,
    op: (opType, operands, attributes) => ops(opType, operands, 1, attributes)[0] as Value,
    ops,
    type,
    dims,
    staticDims: (value) => {
      const found = dims(value)
      return found.every((dim) => typeof dim === 'number') ? found : undefined
    },
    floats,
    ints: (values) => constant(tensorOf('int64', [values.length], BigInt64Array.from(values, BigInt))),
    setType: (value, wanted) => {
      value.type = wanted
      return value
    },
    inferOutputs,
    enter: (name) => (scope = name),
  }
}

/** Operands with their numbers made scalars of the dtype of the first value. */
function valuesOf(operands: Operands, floats: Core['floats']): (Value | undefined)[] {
  const like = operands.find((operand) => typeof operand === 'object')
  return operands.map((operand) => {
    if (typeof operand !== 'number') return operand
    if (like === undefined) throw new HastenError('internal', 'numbers alone have no dtype')
    return floats(like, [operand])
  })
}

import { getInt, getString } from '../../ir/attribute.ts'
import type { Dim } from '../../ir/value-type.ts'
import type { TypeRule } from '../definition.ts'

/** RNN, GRU, LSTM: Y is [time, directions, batch, hidden], the states are [directions, batch, hidden]. */
export const recurrentType: TypeRule = ({ node, input }) => {
  const x = input(0)
  if (x?.dims?.length !== 3)
    return node.outputs.map(() => (x === undefined ? undefined : { dtype: x.dtype, dims: null }))
  const directions = getString(node, 'direction', 'forward') === 'bidirectional' ? 2 : 1
  const hidden: Dim = getInt(node, 'hidden_size') ?? input(2)?.dims?.at(-1) ?? null
  const [first = null, second = null] = x.dims
  const batchFirst = getInt(node, 'layout', 0) === 1
  const [time, batch] = batchFirst ? [second, first] : [first, second]
  const sequence = batchFirst ? [batch, time, directions, hidden] : [time, directions, batch, hidden]
  const state = batchFirst ? [batch, directions, hidden] : [directions, batch, hidden]
  return node.outputs.map((_, index) => ({ dtype: x.dtype, dims: index === 0 ? sequence : state }))
}

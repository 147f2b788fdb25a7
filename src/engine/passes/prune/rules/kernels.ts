import { attribute, getInt } from '../../../ir/attribute.ts'
import type { Lanes } from '../atoms.ts'
import type { RuleTable } from '../channels.ts'

/** Kernels of com.microsoft that `simplify` makes, and that are not element-wise. */
export const kernelRules: RuleTable = {
  /** Heads lie one after another along the last axis of queries, keys and values: a whole head goes or stays. */
  MultiHeadAttention(node, walk) {
    const parts = node.inputs.slice(0, 3).map((value) => walk.lanesOf(value))
    if (parts.every((lanes) => lanes.size === 0)) return undefined
    if (node.inputs.some((value, input) => value !== undefined && input > 2 && input !== 5))
      return 'it has a bias or a past'
    const heads = getInt(node, 'num_heads', 0)
    const [query, key, value] = parts.map((lanes) => (lanes.size === 1 ? lanes.get(2) : undefined))
    if (query === undefined || key === undefined || value === undefined) return 'heads meet something that has none'
    if ([query, key, value].some(({ length }) => heads === 0 || length % heads !== 0)) return 'its heads are not known'
    if (node.inputs[5] !== undefined && walk.dimsOf(node.inputs[5])?.[1] !== 1)
      return 'its mask has a part for each head'
    for (let head = 0; head < heads; head += 1) {
      const [first = 0, ...rest] = [query, key, value].flatMap((lanes) => headOf(lanes, head, heads))
      for (const atom of rest) walk.atoms.join(first, atom)
    }
    walk.setLanes(node.outputs[0], 2, value)
    walk.patch((keep) => {
      const kept = (keep(value).length * heads) / value.length
      if (kept !== heads) node.setAttribute('num_heads', attribute.int(kept))
    })
    return undefined
  },
}

function headOf(lanes: Lanes, head: number, heads: number): Lanes {
  const size = lanes.length / heads
  return lanes.slice(head * size, (head + 1) * size)
}

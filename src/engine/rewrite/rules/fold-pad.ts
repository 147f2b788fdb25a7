import { attribute, getFloat, getInt, getInts, getString } from '../../ir/attribute.ts'
import type { Node } from '../../ir/graph.ts'
import { constantValue } from '../../ops/index.ts'
import { scalarOf } from '../constants.ts'
import { any, opWhere, type Match } from '../pattern.ts'
import { defineRule, type Rule } from '../rule.ts'
import { numbersAt } from './no-ops.ts'

/** Operators with pads of their own, and the value those stand for. */
const padded: Readonly<Record<string, number>> = {
  Conv: 0,
  AveragePool: 0,
  MaxPool: Number.NEGATIVE_INFINITY,
}

function fillOf(pad: Node): number | undefined {
  if (pad.inputs[2] !== undefined) return scalarOf(constantValue(pad.inputs[2]))
  return getFloat(pad, 'value', 0)
}

/** Pads of a Pad over spatial axes, in the order of a window's; or why there are none. */
function spatialPads(pad: Node): number[] | string {
  if (getString(pad, 'mode', 'constant') !== 'constant') return 'the Pad is not one with a constant'
  const pads = numbersAt(pad, 'pads', 1)
  if (pads === undefined || pad.inputs[3] !== undefined) return 'the pads are not constant over all axes'
  const rank = pads.length / 2
  if (pads.some((size) => size < 0)) return 'the Pad cuts off'
  if ([0, 1, rank, rank + 1].some((index) => pads[index] !== 0)) return 'the Pad is not over spatial axes only'
  return [...pads.slice(2, rank), ...pads.slice(rank + 2)]
}

function whyNot({ root, nodes: [, pad] }: Match): true | string {
  const output = pad?.outputs[0]
  if (pad === undefined || output === undefined || output.uses.size !== 1 || output.isGraphOutput)
    return 'the padded value has other readers'
  const pads = spatialPads(pad)
  if (typeof pads === 'string') return pads
  if (fillOf(pad) !== padded[root.opType]) return `${root.opType} pads with another value`
  if (!['NOTSET', 'VALID'].includes(getString(root, 'auto_pad', 'NOTSET'))) return `${root.opType} pads by itself`
  return root.opType === 'AveragePool' ? countsAlike(root) : true
}

/** What a Pad adds an average counts; what the pool adds itself only when told to. */
function countsAlike(pool: Node): true | string {
  if (getInt(pool, 'ceil_mode', 0) !== 0) return 'its windows may reach beyond the padding'
  const own = getInts(pool, 'pads', [])
  const counts = getInt(pool, 'count_include_pad', 0) === 1
  return counts || own.every((size) => size === 0) || 'it does not count its own padding'
}

const pad = opWhere('Pad', [any('x')])

/** Zeros that a Pad writes into memory for the next operator, which can add them itself. */
export const foldPad: Rule = defineRule({
  name: 'fold-pad',
  title: 'Pad became the padding of the operator after it',
  match: Object.keys(padded).map((opType) => opWhere(opType, [pad])),
  when: whyNot,
  replace: (build, { root, nodes: [, inner], values }) => {
    const added = spatialPads(inner as Node) as number[]
    const own = getInts(root, 'pads', [])
    const attributes = {
      ...Object.fromEntries(root.attributes),
      auto_pad: attribute.string('NOTSET'),
      pads: attribute.ints(added.map((size, index) => size + (own[index] ?? 0))),
      ...(root.opType === 'AveragePool' ? { count_include_pad: attribute.int(1) } : {}),
    }
    return build.op(root.opType, [values['x'], ...root.inputs.slice(1)], attributes)
  },
})

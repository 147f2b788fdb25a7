import { getInt } from '../../ir/attribute.ts'
import type { GradientRule, RuleTable } from '../rule.ts'
import { scatterBack } from '../scatter-back.ts'

/** What was looked up several times gets the sum. */
const gather: GradientRule = (back) => {
  const axis = getInt(back.node, 'axis', 0)
  return [() => scatterBack(back, (numbers) => back.op('Gather', [numbers, back.input(1)], { axis })), null]
}

const gatherNd: GradientRule = (back) => {
  const batch_dims = getInt(back.node, 'batch_dims', 0)
  return [() => scatterBack(back, (numbers) => back.op('GatherND', [numbers, back.input(1)], { batch_dims })), null]
}

const gatherElements: GradientRule = (back) => {
  const attributes = { axis: getInt(back.node, 'axis', 0), reduction: 'add' }
  return [() => back.op('ScatterElements', [back.zerosLike(back.x), back.input(1), back.dy], attributes), null]
}

export const indexing = { Gather: gather, GatherElements: gatherElements, GatherND: gatherNd } satisfies RuleTable

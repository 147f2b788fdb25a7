import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { cloneModel } from '../../../../src/engine/ir/clone.ts'
import type { Model } from '../../../../src/engine/ir/model.ts'
import { allNodes } from '../../../../src/engine/ir/model.ts'
import { inferTypes, verify } from '../../../../src/engine/ops/index.ts'
import { generateInputs } from '../../../../src/engine/data/index.ts'
import { adapters } from '../../../../src/engine/rewrite/opset/adapters.ts'
import { upgradeOpset } from '../../../../src/engine/rewrite/opset/upgrade.ts'
import type { Feeds } from '../../../../src/engine/runtime/port.ts'
import { decodedModel } from '../../../support/models.ts'
import { expectSame } from '../../passes/support.ts'
import { changeCases, type ChangeCase } from './change-cases.ts'

const [oldest, newest] = [7, 22]
const changes = JSON.parse(
  readFileSync(new URL('../../../fixtures/engine/opset-changes.json', import.meta.url), 'utf8'),
) as Record<string, number[]>

function casesOf(op: string): readonly ChangeCase[] {
  const found = changeCases[op]
  return found === undefined ? [] : [found].flat()
}

/** The model of a case, and what it is fed. */
function build(op: string, each: ChangeCase): { model: Model; feeds: Feeds } {
  if (each.model !== undefined) {
    const model = decodedModel({ irVersion: 8, ...each.model, opset: each.opset })
    const inputs = model.graph.inputs.map(({ name, type }) => ({ name, dtype: type!.dtype, dims: type!.dims }))
    return { model, feeds: generateInputs(inputs as never, { batch: 1, seed: 1 }) }
  }
  const given = each.inputs.flatMap((tensor, index) => (tensor === null ? [] : [{ name: `i${index}`, tensor, index }]))
  const fed = given.filter(({ index }) => each.constants?.includes(index) !== true)
  const constants = given.filter(({ index }) => each.constants?.includes(index) === true)
  const outputs = Array.from({ length: each.outputs ?? 1 }, (_, index) => `o${index}`)
  const model = decodedModel({
    irVersion: 8,
    opset: each.opset,
    inputs: Object.fromEntries(fed.map(({ name, tensor }) => [name, [tensor.dtype, tensor.dims] as const])) as never,
    initializers: Object.fromEntries(constants.map(({ name, tensor }) => [name, tensor])),
    outputs: Object.fromEntries(outputs.map((name) => [name, ['float32']])),
    nodes: [
      [op, each.inputs.map((tensor, index) => (tensor === null ? '' : `i${index}`)), outputs, each.attributes ?? {}],
    ],
  })
  for (const output of model.graph.outputs) output.type = undefined
  const types = inferTypes(model)
  for (const output of model.graph.outputs) output.type = { dtype: types.of(output)?.dtype ?? 'float32', dims: null }
  return { model, feeds: Object.fromEntries(fed.map(({ name, tensor }) => [name, tensor])) }
}

const changed = Object.entries(changes).filter(([, versions]) => versions.some((at) => at > oldest && at <= newest))
// Those of one version, newer than the oldest opset, did not change.
const walked = changed.filter(([, versions]) => versions.length > 1)

test('the list is one of all operators', () => {
  expect(Object.keys(changes).length).toBeGreaterThan(170)
  expect(walked.length).toBeGreaterThan(120)
})

test('every adapter is for a version in which its operator changed', () => {
  for (const [version, row] of Object.entries(adapters)) {
    for (const op of Object.keys(row)) expect(changes[op], op).toContain(Number(version))
  }
})

describe.each(walked)('%s', (op, versions) => {
  const cases = casesOf(op)

  test('is looked at in every version from which it changed', () => {
    const first = versions.findLast((at) => at <= oldest) ?? versions[0] ?? 0
    expect(Math.min(...cases.map(({ opset }) => opset))).toBeLessThanOrEqual(Math.max(first, oldest))
  })

  test.each(cases.map((each, index) => [index, each] as const))(
    `${op} means the same in the newest opset, or says why it stays (%i)`,
    async (_index, each) => {
      const { model: original, feeds } = build(op, each)
      const model = cloneModel(original)
      const reason = upgradeOpset(model, newest)
      if (each.declined !== undefined) return expect(reason).toMatch(each.declined)
      expect(reason).toBeUndefined()
      expect(verify(model)).toEqual([])
      expect([...allNodes(model)].length).toBeGreaterThan(0)
      return expectSame(original, model, feeds)
    },
  )
})

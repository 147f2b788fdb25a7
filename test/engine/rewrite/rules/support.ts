import { expect } from 'vitest'
import { cloneModel } from '../../../../src/engine/ir/clone.ts'
import type { Model } from '../../../../src/engine/ir/model.ts'
import { verify } from '../../../../src/engine/ops/index.ts'
import { applyRules } from '../../../../src/engine/rewrite/driver.ts'
import { openJournal } from '../../../../src/engine/rewrite/journal.ts'
import { losslessRules } from '../../../../src/engine/rewrite/rules/index.ts'
import { decodedModel, type ModelSpec } from '../../../support/models.ts'
import { decodeModel, encodeModel } from '../../../../src/engine/onnx/index.ts'
import { expectSame } from '../../passes/support.ts'
import type { Feeds } from '../../../../src/engine/runtime/port.ts'

export interface Rewritten {
  readonly original: Model
  readonly model: Model
  /** Operators in list order, what they read, and what they give. */
  readonly graph: string
  /** Names of the rules applied. */
  readonly applied: readonly string[]
  /** `rule: reason` of the refusals. */
  readonly refused: readonly string[]
}

/** Applies every lossless rule to a model. The result passes the verifier, and computes the same when feeds are given. */
export async function rewrite(spec: ModelSpec, feeds?: Feeds): Promise<Rewritten> {
  const original = decodedModel(spec)
  const model = cloneModel(original)
  const journal = openJournal()
  applyRules(model, losslessRules, journal)
  expect(verify(model)).toEqual([])
  // A model that went through a file is rewritten alike.
  const reread = decodeModel(encodeModel(original))
  applyRules(reread, losslessRules, openJournal())
  expect(describeGraph(reread)).toBe(describeGraph(model))
  if (feeds !== undefined) await expectSame(original, model, feeds)
  return {
    original,
    model,
    graph: describeGraph(model),
    applied: journal.applied.map(({ rule }) => rule),
    refused: [...journal.refused.values()].map(({ rewrite: { rule }, reason }) => `${rule}: ${reason}`),
  }
}

/** Short form of a graph: new constants and inner values are `_`, so that tests do not spell generated names. */
function describeGraph({ graph }: Model): string {
  const kept = new Set([...graph.inputs, ...graph.outputs])
  const nameOf = (value: { name: string } | undefined) =>
    value !== undefined && kept.has(value as never) ? value.name : '_'
  return [...graph.nodes]
    .map((node) => `${nameOf(node.outputs[0])} = ${node.opType}(${node.inputs.map(nameOf).join(', ')})`)
    .join('; ')
}

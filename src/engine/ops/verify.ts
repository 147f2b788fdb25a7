import { HastenError, type ErrorCode } from '../../errors.ts'
import type { Node } from '../ir/graph.ts'
import type { Model } from '../ir/model.ts'
import {
  describe,
  runChecks,
  structuralChecks,
  type CheckedGraph,
  type GraphCheck,
  type Violation,
} from '../ir/verify.ts'
import { opDefinition } from './registry.ts'

/** The verifier: every check and its name. */
export const checks = {
  ...structuralChecks,
  arity,
  'attribute-kinds': attributeKinds,
  'opset-imported': opsetImported,
  'output-types': outputTypes,
} satisfies Record<string, GraphCheck>

/** Everything that is wrong with a model; empty when it is right. */
export function verify(model: Model): Violation[] {
  return runChecks(model, checks)
}

/** @throws HastenError with `code` when `verify` finds anything; the detail says the first things. */
export function assertValid(model: Model, code: ErrorCode = 'model_invalid'): void {
  const violations = verify(model)
  if (violations.length === 0) return
  const shown = violations.slice(0, 3).map(({ graph, detail }) => `${detail} (graph '${graph}')`)
  const more = violations.length > shown.length ? `; and ${violations.length - shown.length} more` : ''
  throw new HastenError(code, `${shown.join('; ')}${more}`)
}

function isFunctionCall(node: Node, { model }: CheckedGraph): boolean {
  return model.functions.some((each) => each.domain === node.domain && each.name === node.opType)
}

function* arity(checked: CheckedGraph): Iterable<string> {
  for (const node of checked.graph.nodes) {
    const definition = isFunctionCall(node, checked) ? undefined : opDefinition(node)
    if (definition === undefined) continue
    yield* countProblem(node, 'inputs', node.inputs.length, definition.inputs)
    yield* countProblem(node, 'outputs', node.outputs.length, definition.outputs)
  }
}

function* countProblem(
  node: Node,
  what: string,
  count: number,
  [min, max]: readonly [number, number],
): Iterable<string> {
  if (count >= min && count <= max) return
  const wanted = min === max ? String(min) : `${min} to ${max === Number.POSITIVE_INFINITY ? 'any number' : max}`
  yield `${describe(node)} has ${count} ${what}, not ${wanted}`
}

function* attributeKinds(checked: CheckedGraph): Iterable<string> {
  for (const node of checked.graph.nodes) {
    const known = isFunctionCall(node, checked) ? undefined : opDefinition(node)?.attributes
    for (const [name, { kind }] of node.attributes) {
      const wanted = known?.[name]?.kind
      if (wanted === undefined || kind === 'reference' || kind === wanted) continue
      yield `attribute '${name}' of ${describe(node)} is ${kind}, not ${wanted}`
    }
  }
}

function* opsetImported({ graph, opsets }: CheckedGraph): Iterable<string> {
  for (const node of graph.nodes) {
    if (!opsets.has(node.domain))
      yield `${describe(node)} is of domain '${node.domain}', which the model does not import`
  }
}

/** Only of the main graph: subgraphs and functions take theirs from where they are used. */
function* outputTypes({ graph, model }: CheckedGraph): Iterable<string> {
  if (graph !== model.graph) return
  for (const output of graph.outputs) {
    if (output.type === undefined && output.opaque === undefined) yield `the output '${output.name}' has no type`
  }
}

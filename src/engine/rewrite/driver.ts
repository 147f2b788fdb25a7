import type { Graph, Node } from '../ir/graph.ts'
import { graphsWithin, type Model } from '../ir/model.ts'
import { inferTypes } from '../ops/index.ts'
import { removeDead } from './dead.ts'
import type { Journal } from './journal.ts'
import { matchAt, type Match } from './pattern.ts'
import { buildBefore, type Rule, type RuleScope } from './rule.ts'

/** Rounds over the whole model; a set of rules that still finds work after so many is undoing its own results. */
const maxRounds = 20

/**
 * Applies rules to the main graph and its subgraphs until none applies (at most 20 rounds). Every change goes through
 * the journal, which may refuse it. Bodies of model functions are left alone.
 * @returns how many changes were made
 */
export function applyRules(model: Model, rules: readonly Rule[], journal: Journal): number {
  const byRoot = Map.groupBy(
    rules.flatMap((rule) => rule.variants.map((pattern) => ({ rule, pattern }))),
    ({ pattern }) => pattern.opType,
  )
  let total = 0
  for (let round = 0; round < maxRounds; round += 1) {
    const scope = { types: inferTypes(model), opset: model.opsetImports.get('') ?? 1 }
    const state: DriverState = { model, byRoot, scope, journal }
    const changes = [...graphsWithin(model.graph)].reduce((count, graph) => count + visitGraph(graph, state), 0)
    if (changes === 0) break
    total += changes
  }
  return total
}

interface DriverState {
  readonly model: Model
  readonly byRoot: ReadonlyMap<string, readonly { rule: Rule; pattern: Rule['variants'][number] }[]>
  readonly scope: RuleScope
  readonly journal: Journal
}

function visitGraph(graph: Graph, state: DriverState): number {
  let changes = 0
  for (const node of graph.nodes) if (visitNode(graph, node, state)) changes += 1
  return changes
}

function visitNode(graph: Graph, node: Node, state: DriverState): boolean {
  for (const { rule, pattern } of state.byRoot.get(node.opType) ?? []) {
    const match = matchAt(pattern, node)
    if (match !== undefined && applyRule(graph, rule, match, state)) return true
  }
  return false
}

function applyRule(graph: Graph, rule: Rule, match: Match, { model, scope, journal }: DriverState): boolean {
  const [output] = match.root.outputs
  // A root whose result nothing reads would be rewritten for nothing, and again in every round.
  if (output === undefined || (output.uses.size === 0 && !output.isGraphOutput)) return false
  const rewrite = { rule: rule.name, at: output.name, op: match.root.opType, exact: rule.exact }
  const verdict = rule.when(match, scope)
  if (typeof verdict === 'string') journal.refuse(rewrite, verdict)
  if (verdict !== true || !journal.admit(rewrite)) return false
  const build = buildBefore(match.root, graph, model)
  graph.replaceAllUses(output, rule.replace(build, match, scope))
  keepNames(build.nodes, removeDead(match.root))
  return true
}

/**
 * Lets new nodes take the names of those they replace, so that whoever names a node finds it after a rewrite: those of
 * the same operator, nearest to the root first; what the whole pattern became, else the root's.
 */
function keepNames(built: readonly Node[], removed: readonly Node[]): void {
  const free = new Set(removed.filter(({ name }) => name !== ''))
  for (const node of built.toReversed()) {
    const same = free.values().find(({ opType }) => opType === node.opType)
    const from = same ?? (node === built.at(-1) ? free.values().find((each) => each === removed[0]) : undefined)
    if (from === undefined) continue
    node.name = from.name
    free.delete(from)
  }
}

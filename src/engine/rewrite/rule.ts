import type { Attribute } from '../ir/attribute.ts'
import type { Graph, Node, Value } from '../ir/graph.ts'
import { importOpset, type Model } from '../ir/model.ts'
import type { Tensor } from '../ir/tensor.ts'
import type { InferredTypes } from '../ops/index.ts'
import { commutedVariants, type Match, type OpPattern } from './pattern.ts'

/** Builds what replaces a match, in front of its root. */
export interface Builder {
  readonly graph: Graph
  /** What was built so far. */
  readonly nodes: readonly Node[]
  /** First output of a new operator, of ai.onnx unless `domain` says otherwise. */
  op(
    opType: string,
    inputs: readonly (Value | undefined)[],
    attributes?: Readonly<Record<string, Attribute>>,
    domain?: string,
  ): Value
  constant(tensor: Tensor, hint: string): Value
}

/** What a rule may ask about the model around a match. */
export interface RuleScope {
  /** Types as they were at the start of the round; those of newer values are not known. */
  readonly types: InferredTypes
  /** Version of ai.onnx that the model imports. */
  readonly opset: number
}

/** A rewrite: find the pattern, ask whether it applies here, build the replacement of the root's first output. */
export interface Rule {
  readonly name: string
  /** What it does, in the words of a report. */
  readonly title: string
  /** Whether results stay the same bit for bit, so that no run is needed to prove it. */
  readonly exact: boolean
  readonly variants: readonly OpPattern[]
  /** true; false where the match is none after all; or why the rule does not apply to what does look like one. */
  when(match: Match, scope: RuleScope): boolean | string
  replace(build: Builder, match: Match, scope: RuleScope): Value
}

interface RuleInit {
  readonly name: string
  readonly title: string
  readonly exact?: boolean
  readonly match: OpPattern | readonly OpPattern[]
  readonly when?: Rule['when']
  readonly replace: Rule['replace']
}

/** A rule from its parts; the commuted forms of its patterns are derived. */
export function defineRule(init: RuleInit): Rule {
  const patterns = 'kind' in init.match ? [init.match] : init.match
  return {
    name: init.name,
    title: init.title,
    exact: init.exact ?? false,
    variants: patterns.flatMap(commutedVariants),
    when: init.when ?? (() => true),
    replace: init.replace,
  }
}

/** Whether readers of the root may read `x` instead: a graph output needs a node of its own graph that gives it, and no
 * second output may want the same value. */
export function canBypass({ root, values }: Pick<Match, 'root' | 'values'>): true | string {
  if (root.outputs[0]?.isGraphOutput !== true) return true
  const source = values['x']
  const isFree = source?.producer?.graph === root.graph && source?.producer !== undefined && !source.isGraphOutput
  return isFree || 'it gives a graph output its name'
}

/** A builder that inserts before `root` and names what is new after the root's output, so that names stay stable. */
export function buildBefore(root: Node, graph: Graph, model: Model): Builder {
  const hint = root.outputs[0]?.name ?? root.opType
  const nodes: Node[] = []
  return {
    graph,
    nodes,
    op: (opType, inputs, attributes = {}, domain = '') => {
      if (domain !== '') importOpset(model, domain, 1)
      const name = graph.freshName(`${hint}/${opType}`)
      const outputs = [graph.freshName(`${name}_out`)]
      const node = graph.insertBefore(root, { opType, domain, name, inputs, outputs, attributes })
      nodes.push(node)
      return node.outputs[0] as Value
    },
    constant: (tensor, suffix) => graph.addInitializer(graph.freshName(`${hint}/${suffix}`), tensor),
  }
}

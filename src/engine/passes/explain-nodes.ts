import type { Model } from '../ir/model.ts'
import type { ExplanationReport, NoteCause } from './findings.ts'
import { describeForms } from './node-forms.ts'
import type { Note } from './pass.ts'

type ExplainedNode = ExplanationReport['nodes'][number]

/** Passes that change the graph as a whole and speak of nodes only in passing. */
const unexplained: ReadonlySet<string> = new Set(['simplify', 'tune'])

/** Notes that don't name their cause themselves, by what they say. The first that fits counts; the rest is `unsupported`. */
const causesByReason: readonly (readonly [RegExp, NoteCause])[] = [
  [/slower/, 'slower'],
  [/excluded|options (keep|leave)|fewer than/, 'excluded'],
  [/are activations|not (a )?constant|not its second input|both inputs|can not observe/, 'not_constant'],
]

/**
 * What became of each node that quantizing passes considered, from their notes and the model they made.
 * @param notes of all steps, in order, each with its pass
 */
export function explainNodes(notes: readonly (Note & { readonly pass: string })[], model: Model): ExplainedNode[] {
  const forms = describeForms(model)
  return notes.flatMap(({ pass, node, op, action, reason, cause }): ExplainedNode[] => {
    if (node === undefined || op === undefined || unexplained.has(pass)) return []
    if (action !== 'done' && action !== 'skipped') return []
    const isLeft = action === 'skipped'
    return [
      {
        pass,
        node,
        op,
        outcome: isLeft ? 'left' : 'changed',
        cause: isLeft ? (cause ?? causeOf(reason)) : null,
        reason,
        form: forms.get(node) ?? null,
      },
    ]
  })
}

function causeOf(reason: string): NoteCause {
  return causesByReason.find(([pattern]) => pattern.test(reason))?.[1] ?? 'unsupported'
}

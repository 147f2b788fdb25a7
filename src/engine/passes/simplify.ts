import { cloneModel } from '../ir/clone.ts'
import { graphsWithin, type Model } from '../ir/model.ts'
import { removeDeadNodes, removeUnusedInitializers } from '../rewrite/dead.ts'
import { inlineBranches } from '../rewrite/inline-branches.ts'
import { inlineFunctions } from '../rewrite/inline-functions.ts'
import { applyRules } from '../rewrite/driver.ts'
import { openJournal, type JournalOptions } from '../rewrite/journal.ts'
import { mergeCommon } from '../rewrite/merge-common.ts'
import { losslessRules } from '../rewrite/rules/index.ts'
import type { Rule } from '../rewrite/rule.ts'
import { definePass, type Note, type PassContext, type PassOptions } from './pass.ts'
import { upgradeOpset } from '../rewrite/opset/upgrade.ts'
import { foldConstants } from './simplify/fold-constants.ts'
import { liftConstants } from '../rewrite/lift-constants.ts'
import { prepareProof } from './simplify/prove.ts'
import { keepProven, type Attempt, type RolledBack } from './simplify/rollback.ts'

type Options = PassOptions<'simplify'>

/** Folding and rewriting feed each other; real models settle in two rounds. */
const maxRounds = 8

/** Lossless rewrites: the outputs stay as they were, by construction or by proof on sample inputs. */
export const simplifyPass = definePass({
  name: 'simplify',
  stage: 'simplify',
  version: 6,
  async run(model, options, context) {
    const rules = losslessRules.filter((rule) => !options.skip.includes(rule.name))
    const upgrade = upgraded(model, options)
    const start = { model: upgrade.model, rules }
    const replay = (journalOptions: JournalOptions) => rewriteCopy(start, options, context, journalOptions)
    const { attempt, rolledBack = [], note } = await proveAttempt(model, replay, options, context)
    const modified = attempt.changes > 0 || upgrade.model !== model
    const notes = [
      ...upgrade.notes,
      ...(note === undefined ? [] : [note]),
      ...describeAttempt(attempt, rolledBack, rules),
    ]
    return { model: modified ? attempt.model : model, modified, notes }
  },
})

/** The model in the opset that was asked for, if it is not there yet. */
function upgraded(original: Model, { opset }: Options): { model: Model; notes: readonly Note[] } {
  const from = original.opsetImports.get('') ?? 1
  if (opset === undefined || from >= opset) return { model: original, notes: [] }
  const model = cloneModel(original)
  inlineFunctions(model, openJournal())
  liftConstants(model)
  const declined = upgradeOpset(model, opset)
  if (declined === undefined) return { model, notes: [{ action: 'info', reason: `opset ${from} became ${opset}` }] }
  return { model: original, notes: [{ action: 'skipped', reason: `the opset stays ${from}: ${declined}` }] }
}

interface SimplifyAttempt extends Attempt {
  readonly changes: number
  readonly deadNodes: number
  readonly unusedInitializers: number
}

interface Outcome {
  readonly attempt: SimplifyAttempt
  readonly rolledBack?: readonly RolledBack[]
  readonly note?: Note
}

interface Start {
  readonly model: Model
  readonly rules: readonly Rule[]
}

async function rewriteCopy(
  { model: original, rules }: Start,
  options: Options,
  context: PassContext,
  journalOptions: JournalOptions,
): Promise<SimplifyAttempt> {
  const model = cloneModel(original)
  const journal = openJournal(journalOptions)
  const skips = (rule: string) => options.skip.includes(rule)
  if (!skips('inline-function')) inlineFunctions(model, journal)
  liftConstants(model, journal)
  const budget = { bytes: options.maxGrowthBytes }
  for (let round = 0; round < maxRounds; round += 1) {
    context.signal.throwIfAborted()
    const folded = await foldConstants(context, model, journal, budget)
    const merged = skips('merge-common') ? 0 : mergeCommon(model, journal)
    const inlined = skips('inline-branch') ? 0 : inlineBranches(model, journal)
    if (folded + merged + inlined + applyRules(model, rules, journal) === 0) break
  }
  const deadNodes = removeDeadNodes(model.graph).length
  const unusedInitializers = removeUnusedInitializers(model).length
  const changes = journal.applied.length + deadNodes + unusedInitializers
  return { model, journal, changes, deadNodes, unusedInitializers }
}

async function proveAttempt(
  model: Model,
  replay: (options: JournalOptions) => Promise<SimplifyAttempt>,
  options: Options,
  context: PassContext,
): Promise<Outcome> {
  const first = await replay({})
  if (!options.prove || first.journal.applied.every((rewrite) => rewrite.exact)) return { attempt: first }
  const proof = await prepareProof(context, model)
  if ('reason' in proof) {
    const reason = `rewrites that need proof were left out: ${proof.reason}`
    return { attempt: await replay({ limit: 0 }), note: { action: 'skipped', reason } }
  }
  const { attempt, rolledBack } = await keepProven(replay, proof, first)
  const kept = attempt.journal.applied.filter((rewrite) => !rewrite.exact).length
  const inputs = context.calibration === undefined ? 'generated inputs' : 'dataset samples'
  const reason = `${kept} rewrites proven on ${proof.sets} sets of ${inputs}`
  return { attempt, rolledBack, note: { action: 'info', reason } }
}

function describeAttempt(attempt: SimplifyAttempt, back: readonly RolledBack[], rules: readonly Rule[]): Note[] {
  const titles = new Map([...rules.map((rule) => [rule.name, rule.title] as const), ...otherTitles])
  const done = attempt.journal.applied.filter((rewrite) => rewrite.rule !== 'lift-constant')
  return [
    ...describeTotals(attempt),
    ...done.map(({ at, op, rule }): Note => ({ node: at, op, action: 'done', reason: titles.get(rule) ?? 'computed' })),
    ...back.map(({ rewrite: { at, op, rule }, reason }): Note => {
      return { node: at, op, action: 'rolled_back', reason: `${titles.get(rule) ?? rule}: ${reason}` }
    }),
    ...describeRefusals(attempt),
  ]
}

/** What is no rule, since it does not start from a pattern. */
const otherTitles = [
  ['merge-common', 'computes the same as another node, which is read instead'],
  ['inline-function', 'call of a model function replaced by its nodes'],
  ['inline-branch', 'the branch that is always taken put in place of the If'],
] as const

function describeTotals({ journal, deadNodes, unusedInitializers }: SimplifyAttempt): Note[] {
  const lifted = journal.applied.filter((rewrite) => rewrite.rule === 'lift-constant').length
  const totals = [
    [lifted, 'Constant nodes became initializers'],
    [deadNodes, 'nodes that no output needs removed'],
    [unusedInitializers, 'unused initializers removed'],
  ] as const
  return totals.flatMap(([count, what]) =>
    count === 0 ? [] : [{ action: 'info', reason: `${count} ${what}` } as const],
  )
}

/** Refusals at nodes that are still there: others have been rewritten since. */
function describeRefusals({ journal, model }: SimplifyAttempt): Note[] {
  const present = new Set<string>()
  for (const graph of graphsWithin(model.graph)) {
    for (const node of graph.nodes) for (const output of node.outputs) present.add(output.name)
  }
  const refused = [...journal.refused.values()].filter(({ rewrite }) => present.has(rewrite.at))
  return refused.map(({ rewrite: { at, op, rule }, reason }): Note => {
    return { node: at, op, action: 'skipped', reason: `${rule}: ${reason}` }
  })
}

import type { Model } from '../../ir/model.ts'
import { rewriteKey, type Journal, type JournalOptions, type Rewrite } from '../../rewrite/journal.ts'
import type { Proof } from './prove.ts'

/** A model with the rewrites of a journal made. */
export interface Attempt {
  readonly model: Model
  readonly journal: Journal
}

/** Makes the rewrites on a fresh copy of the original. Must make them in the same order every time. */
export type Replay<A extends Attempt> = (options: JournalOptions) => Promise<A>

export interface RolledBack {
  readonly rewrite: Rewrite
  readonly reason: string
}

export interface Proven<A extends Attempt> {
  readonly attempt: A
  readonly rolledBack: readonly RolledBack[]
}

/** More wrong rewrites than this, and none that needs proof is kept. */
const maxCulprits = 16

/**
 * Finds the rewrites that change an output, by bisection over how many are made, and makes the others. Each culprit
 * costs about log2(n) runs of the model.
 */
export async function keepProven<A extends Attempt>(replay: Replay<A>, proof: Proof, first: A): Promise<Proven<A>> {
  const without = new Set<string>()
  const rolledBack: RolledBack[] = []
  let attempt = first
  for (let round = 0; round < maxCulprits; round += 1) {
    const difference = await proof.findDifference(attempt.model)
    if (difference === undefined) return { attempt, rolledBack }
    const culprit = await findCulprit(replay, proof, without, inexactOf(attempt).length)
    if (culprit === undefined) break
    without.add(rewriteKey(culprit))
    rolledBack.push({ rewrite: culprit, reason: difference.detail })
    attempt = await replay({ without })
  }
  return rollBackAll(replay, attempt, rolledBack)
}

/** The rewrite with which the outputs change first; undefined when they differ without any. */
async function findCulprit(
  replay: Replay<Attempt>,
  proof: Proof,
  without: ReadonlySet<string>,
  count: number,
): Promise<Rewrite | undefined> {
  let good = -1
  let bad = count
  while (bad - good > 1) {
    const limit = Math.floor((good + bad) / 2)
    const { model } = await replay({ without, limit })
    if ((await proof.findDifference(model)) === undefined) good = limit
    else bad = limit
  }
  if (bad === 0) return undefined
  const { journal } = await replay({ without, limit: bad })
  return journal.applied.findLast((rewrite) => !rewrite.exact)
}

async function rollBackAll<A extends Attempt>(
  replay: Replay<A>,
  attempt: A,
  found: readonly RolledBack[],
): Promise<Proven<A>> {
  const known = new Set(found.map(({ rewrite }) => rewriteKey(rewrite)))
  const others = inexactOf(attempt).filter((rewrite) => !known.has(rewriteKey(rewrite)))
  const reason = 'outputs still differed when the rewrites found to change them were left out'
  const rolledBack = [...found, ...others.map((rewrite) => ({ rewrite, reason }))]
  return { attempt: await replay({ limit: 0 }), rolledBack }
}

function inexactOf({ journal }: Attempt): Rewrite[] {
  return journal.applied.filter((rewrite) => !rewrite.exact)
}

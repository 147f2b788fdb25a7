/** One change to a model that can be left out when the same changes are made again on a fresh copy. */
export interface Rewrite {
  readonly rule: string
  /** Name of the value that the change gives: stable from one replay to the next. */
  readonly at: string
  readonly op: string
  /** Whether results stay the same bit for bit. */
  readonly exact: boolean
}

/** Decides and remembers which rewrites happen, so that a run of the rules can be replayed with some left out. */
export interface Journal {
  /** Whether to make this change; what is admitted must be made. */
  admit(rewrite: Rewrite): boolean
  /** Notes why a rule that matched does not apply. */
  refuse(rewrite: Rewrite, reason: string): void
  readonly applied: readonly Rewrite[]
  /** Reasons by rule and place; the last one counts. */
  readonly refused: ReadonlyMap<string, { readonly rewrite: Rewrite; readonly reason: string }>
}

export interface JournalOptions {
  /** Keys of rewrites to leave out. */
  readonly without?: ReadonlySet<string>
  /** How many rewrites that are not exact may happen at most. */
  readonly limit?: number
}

export function rewriteKey(rewrite: Rewrite): string {
  return `${rewrite.rule} ${rewrite.at}`
}

/** An empty journal. */
export function openJournal(options: JournalOptions = {}): Journal {
  const { without = new Set<string>(), limit = Number.POSITIVE_INFINITY } = options
  const applied: Rewrite[] = []
  const refused = new Map<string, { rewrite: Rewrite; reason: string }>()
  let inexact = 0
  return {
    applied,
    refused,
    admit(rewrite) {
      if (without.has(rewriteKey(rewrite))) return false
      if (!rewrite.exact && inexact >= limit) return false
      if (!rewrite.exact) inexact += 1
      applied.push(rewrite)
      refused.delete(rewriteKey(rewrite))
      return true
    },
    refuse(rewrite, reason) {
      refused.set(rewriteKey(rewrite), { rewrite, reason })
    },
  }
}

import type { Registry } from '../../telemetry.ts'
import { shadowTopic } from '../../storage/index.ts'
import type { FiguresWriter } from './figures-writer.ts'
import { createMirror } from './mirror.ts'
import type { Wrappers } from './route.ts'
import { createShadowTotals, registerShadowMetrics, type ShadowTotals } from './shadow-totals.ts'

interface ShadowDeps {
  readonly metrics: Registry
  readonly writer: FiguresWriter
  /** From 0 to below 1. */
  readonly random?: () => number
}

export interface ShadowWrapper {
  readonly wrap: NonNullable<Wrappers['shadow']>
  /** Lets go of what is kept for a deployment. */
  forget(deployment: string): void
}

const defaultMaxQueue = 16
const defaultTolerance = 0.01

/** Mirrors requests to candidates; what is known of one outlives changes of the plan. */
export function shadowWrapper({ metrics, writer, random = Math.random }: ShadowDeps): ShadowWrapper {
  const known = new Map<string, ShadowTotals & { readonly primary: number }>()
  registerShadowMetrics(metrics, () => known.values())

  /** Another active version or another candidate is another comparison. */
  function totalsOf(deployment: string, of: { model: string; version: number; primary: number }) {
    const before = known.get(deployment)
    if (before?.version === of.version && before.primary === of.primary) return before
    const totals = { ...createShadowTotals({ deployment, ...of }), primary: of.primary }
    known.set(deployment, totals)
    writer.watch({ deployment, version: of.version, topic: shadowTopic }, () => totals.figures())
    return totals
  }

  return {
    wrap({
      options: { share, max_queue: maxQueue = defaultMaxQueue, tolerance = defaultTolerance },
      plan,
      primary,
      others,
    }) {
      const [candidate] = others
      if (candidate === undefined || share === 0) return primary.lane
      const of = { model: plan.name, version: Number(candidate.version), primary: Number(primary.version) }
      // Answers of each version of a split are compared; they are told as those of the active one.
      const events = totalsOf(plan.deployment, { ...of, primary: plan.active })
      return createMirror(primary, candidate, { wants: () => random() < share, maxQueue, tolerance, events })
    },
    forget(deployment) {
      known.delete(deployment)
      writer.forget(deployment)
    },
  }
}

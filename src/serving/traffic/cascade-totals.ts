import { Counter } from '@prometheus-io/client'
import type { Registry } from '../../telemetry.ts'
import type { CascadeCounts } from './cascade.ts'
import type { TrafficPlan } from './plan.ts'

/** How many rows went through the cascade of each deployment, and how many of them on to its large version. */
export interface CascadeTotals {
  record(plan: TrafficPlan, counts: CascadeCounts): void
  /** Since the plan last changed; undefined for a deployment that has answered nothing by a cascade. */
  of(deployment: string): CascadeCounts | undefined
  /** Drops the totals of a deployment that is gone. */
  forget(deployment: string): void
}

export function createCascadeTotals(metrics: Registry): CascadeTotals {
  const totals = new Map<string, CascadeCounts & { readonly plan: string }>()
  const counter = new Counter({
    name: 'hasten_cascade_rows_total',
    help: 'Rows answered by cascades, and by which of the two versions',
    labelNames: ['model', 'answered_by'],
    registers: [metrics],
  })
  return {
    record({ deployment, name, key: plan }, { rows, forwarded }) {
      counter.inc({ model: name, answered_by: 'small' }, rows - forwarded)
      counter.inc({ model: name, answered_by: 'large' }, forwarded)
      const before = totals.get(deployment)
      const known = before?.plan === plan ? before : { rows: 0, forwarded: 0 }
      totals.set(deployment, { plan, rows: known.rows + rows, forwarded: known.forwarded + forwarded })
    },
    of(deployment) {
      const total = totals.get(deployment)
      return total && { rows: total.rows, forwarded: total.forwarded }
    },
    forget: (deployment) => void totals.delete(deployment),
  }
}

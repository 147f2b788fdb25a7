import { isDeepStrictEqual } from 'node:util'
import type { CanaryPoint } from '../../storage/index.ts'
import type { CanaryEvidence } from './canary-decision.ts'
import { createLatencyWindow, type LatencyWindow } from './latency-window.ts'
import type { TrafficPlan } from './plan.ts'

type Canary = NonNullable<TrafficPlan['canary']>

/** A step of a canary as this process sees it. */
export interface CanaryRun {
  readonly deployment: string
  readonly project: string
  readonly name: string
  readonly options: Canary
  readonly candidate: LatencyWindow
  /** Goes on through the steps: late ones leave the active version few requests. */
  readonly active: LatencyWindow
  requests: number
  failures: number
  compared: number
  agreed: number
  /** Nothing more is to be said of this step. */
  isDecided: boolean
}

/** The canaries of this process, by deployment. */
export interface CanaryRuns {
  /** The run of a plan's step; a new one when the step is. */
  of(plan: TrafficPlan, options: Canary): CanaryRun
  all(): Iterable<CanaryRun>
  forget(deployment: string): void
}

export function createCanaryRuns(): CanaryRuns {
  const runs = new Map<string, CanaryRun>()
  return {
    of({ deployment, project, name }, options) {
      const before = runs.get(deployment)
      if (before !== undefined && isDeepStrictEqual(before.options, options)) return before
      const active =
        before !== undefined && isSameStart(before.options.point, options.point) ? before.active : undefined
      const counts = { requests: 0, failures: 0, compared: 0, agreed: 0, isDecided: false }
      const windows = { candidate: createLatencyWindow(), active: active ?? createLatencyWindow() }
      const run = { deployment, project, name, options, ...windows, ...counts }
      runs.set(deployment, run)
      return run
    },
    all: () => runs.values(),
    forget: (deployment) => void runs.delete(deployment),
  }
}

function isSameStart(a: CanaryPoint, b: CanaryPoint): boolean {
  return a.version === b.version && a.startedAt === b.startedAt
}

export function evidenceOf({ requests, failures, candidate, active, compared, agreed }: CanaryRun): CanaryEvidence {
  return { requests, failures, candidate, active, compared, agreed }
}

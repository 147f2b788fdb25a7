import type { Storage } from '../../storage/index.ts'
import type { Logger } from '../../telemetry.ts'
import { createCapture } from './capture.ts'
import { createCaptureSink, type StoringSink } from './capture-sink.ts'
import { createCascade } from './cascade.ts'
import type { CascadeTotals } from './cascade-totals.ts'
import { createEnsemble } from './ensemble.ts'
import type { Wrappers } from './route.ts'

type Cascade = NonNullable<Wrappers['cascade']>
type Ensemble = NonNullable<Wrappers['ensemble']>
type Capture = NonNullable<Wrappers['capture']>

export function cascadeWrapper(totals: CascadeTotals): Cascade {
  return ({ options: { output, threshold, scores = 'softmax' }, plan, primary, others: [small, large] }) => {
    if (small === undefined || large === undefined) return primary.lane
    const onAnswer = (counts: Parameters<CascadeTotals['record']>[1]) => totals.record(plan, counts)
    return createCascade(small, large, { output, threshold, scale: scores, onAnswer })
  }
}

export const ensembleWrapper: Ensemble = ({ options, primary, others }) => {
  const { method, weights, scores, min_members: minMembers = others.length } = options
  const [first, ...rest] = others.map((served, index) => ({ served, weight: weights?.[index] ?? 1 }))
  if (first === undefined) return primary.lane
  const combination = { method: method === 'vote' ? 'vote' : 'mean', softmax: scores === 'softmax' } as const
  return createEnsemble([first, ...rest], { ...combination, minMembers })
}

interface CaptureDeps {
  readonly captured: Pick<Storage['captured'], 'add'>
  readonly logger: Logger
  readonly flushMs?: number
}

export interface CaptureWrapper {
  readonly wrap: Capture
  /** Lets go of what is kept for a deployment. */
  forget(deployment: string): void
  /** Writes what is on its way. */
  flush(): Promise<void>
}

/** Samples of all versions of a deployment go one way, which outlives changes of its plan. */
export function captureWrapper(deps: CaptureDeps): CaptureWrapper {
  const sinks = new Map<string, StoringSink>()
  return {
    wrap({ options: { share, max_samples: maxSamples, inputs: only, omit }, plan, primary }) {
      const sink = sinks.get(plan.deployment) ?? createCaptureSink(plan.deployment, deps)
      sinks.set(plan.deployment, sink)
      sink.limit(maxSamples)
      return createCapture(primary.lane, { share, inputs: primary.inputs, only, omit, sink })
    },
    forget: (deployment) => void sinks.delete(deployment),
    flush: async () => void (await Promise.all([...sinks.values()].map(async (sink) => sink.flush()))),
  }
}

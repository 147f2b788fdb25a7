import type { Storage } from '../../storage/index.ts'
import type { Logger, Registry } from '../../telemetry.ts'
import { captureWrapper, cascadeWrapper, ensembleWrapper } from './answer-wrappers.ts'
import { createCascadeTotals } from './cascade-totals.ts'
import { createTraffic, type Traffic } from './route.ts'

interface RunningTrafficDeps {
  readonly storage: Pick<Storage, 'captured'>
  readonly logger: Logger
  readonly metrics: Registry
}

interface RunningTraffic {
  readonly traffic: Traffic
  /** Writes what was not written yet. */
  stop(): Promise<void>
}

/** Traffic with every part in effect. */
export function startTraffic({ storage, logger, metrics }: RunningTrafficDeps): RunningTraffic {
  const totals = createCascadeTotals(metrics)
  const capture = captureWrapper({ captured: storage.captured, logger })
  const traffic = createTraffic({
    wrappers: { cascade: cascadeWrapper(totals), ensemble: ensembleWrapper, capture: capture.wrap },
  })
  return {
    traffic: {
      ...traffic,
      forget(deployment) {
        traffic.forget(deployment)
        capture.forget(deployment)
        totals.forget(deployment)
      },
    },
    stop: async () => capture.flush(),
  }
}

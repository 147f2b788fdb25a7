import { cascadeTopic, type Storage } from '../../storage/index.ts'
import type { Logger, Registry } from '../../telemetry.ts'
import { captureWrapper, cascadeWrapper, ensembleWrapper } from './answer-wrappers.ts'
import { createCanaryWatch } from './canary.ts'
import { createCascadeTotals } from './cascade-totals.ts'
import { createFiguresWriter } from './figures-writer.ts'
import { createTraffic, type Traffic } from './route.ts'
import { shadowWrapper } from './shadow.ts'

interface RunningTrafficDeps {
  readonly storage: Pick<Storage, 'captured' | 'deployments'>
  readonly logger: Logger
  readonly metrics: Registry
  /** `srv_…`, as in the rows of its replicas. */
  readonly serverId: string
  /** Between two writes of what was measured; default 2 s. */
  readonly everyMs?: number
}

interface RunningTraffic {
  readonly traffic: Traffic
  /** Writes what was not written yet. */
  stop(): Promise<void>
}

/** Traffic with every part in effect. */
export function startTraffic({ storage, logger, metrics, serverId, everyMs }: RunningTrafficDeps): RunningTraffic {
  const writer = createFiguresWriter({ deployments: storage.deployments, serverId, logger, everyMs })
  const shadow = shadowWrapper({ metrics, writer })
  const canary = createCanaryWatch({ deployments: storage.deployments, writer, serverId, logger, everyMs })
  const totals = createCascadeTotals(metrics)
  const cascade = cascadeWrapper(totals)
  const capture = captureWrapper({ captured: storage.captured, logger })
  const traffic = createTraffic({
    wrappers: {
      cascade(context) {
        const { plan, options } = context
        const topic = { deployment: plan.deployment, version: options.versions[0] ?? plan.active, topic: cascadeTopic }
        writer.watch(topic, () => totals.of(plan.deployment) ?? { rows: 0, forwarded: 0 })
        return cascade(context)
      },
      ensemble: ensembleWrapper,
      capture: capture.wrap,
      shadow: shadow.wrap,
      canary: canary.wrap,
    },
  })
  return {
    traffic: {
      ...traffic,
      adopt: (rows) => canary.adopt(rows),
      forget(deployment) {
        traffic.forget(deployment)
        capture.forget(deployment)
        totals.forget(deployment)
        shadow.forget(deployment)
        canary.forget(deployment)
      },
    },
    stop: async () => void (await Promise.all([capture.flush(), canary.stop(), writer.stop()])),
  }
}

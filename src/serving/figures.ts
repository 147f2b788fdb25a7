import { servingTopic, type Deployments, type ServingFigures } from '../storage/index.ts'
import type { Logger } from '../telemetry.ts'
import type { Catalog, ServedVersion } from './served-version.ts'

interface FiguresDeps {
  readonly catalog: Pick<Catalog, 'all'>
  readonly deployments: Pick<Deployments, 'writeFigures' | 'pruneFigures'>
  readonly serverId: string
  readonly logger: Logger
  /** Default 2 s. */
  readonly everyMs?: number
}

interface FiguresLoop {
  /** Writes what was not written yet. */
  stop(): Promise<void>
}

const defaultEveryMs = 2000
/** What servers that died have left; each start of a server clears it away. */
const prunedAfterMs = 3_600_000

/**
 * Writes what this process knows of its versions to their rows, as long as something changes: the API adds it up over
 * processes. A version that nobody asks costs nothing, once its last minute has passed.
 */
export function startFigures(deps: FiguresDeps): FiguresLoop {
  const written = new Map<string, string>()
  let writing = Promise.resolve()
  let isAway = false

  async function writeAll(): Promise<void> {
    try {
      for (const model of deps.catalog.all()) await writeChanged(deps, written, model)
      isAway = false
    } catch (error) {
      if (!isAway) deps.logger.warn({ err: error }, 'figures of deployments cannot be written')
      isAway = true
    }
  }

  const failed = (error: unknown) => deps.logger.warn({ err: error }, 'old figures were not removed')
  void deps.deployments.pruneFigures(prunedAfterMs).catch(failed)
  const write = () => (writing = writing.then(writeAll))
  const timer = setInterval(() => void write(), deps.everyMs ?? defaultEveryMs)
  timer.unref()
  return {
    async stop() {
      clearInterval(timer)
      await write()
    },
  }
}

async function writeChanged(
  { deployments, serverId }: FiguresDeps,
  written: Map<string, string>,
  model: ServedVersion,
): Promise<void> {
  if (model.deployment === undefined) return
  const figures = figuresOf(model)
  const key = `${model.deployment} ${model.version}`
  const text = JSON.stringify(figures)
  if (written.get(key) === text || (figures.lastInference === 0 && !written.has(key))) return
  const row = { deploymentId: model.deployment, version: Number(model.version), serverId }
  if (await deployments.writeFigures({ ...row, figures: { [servingTopic]: figures } })) written.set(key, text)
}

function figuresOf({ statistics, lane }: ServedVersion): ServingFigures {
  const { success, fail, inferences, executions, failures, batches, lastInference } = statistics.snapshot()
  const { queued, inFlight } = lane.state()
  return {
    requests: success.count + fail.count,
    rows: inferences,
    executions,
    failures,
    lastInference,
    queued,
    inFlight,
    batches: Object.fromEntries(
      batches.map(({ batchSize, infer }) => [batchSize, { runs: infer.count, ms: infer.ns / 1e6 }]),
    ),
    recent: statistics.recent(),
  }
}

import type { Deployments } from '../../storage/index.ts'
import type { Logger } from '../../telemetry.ts'

interface WriterDeps {
  readonly deployments: Pick<Deployments, 'writeFigures'>
  readonly serverId: string
  readonly logger: Logger
  /** Between two writes; default 2 s. */
  readonly everyMs?: number | undefined
}

interface Topic {
  readonly deployment: string
  readonly version: number
  readonly topic: string
}

/** Keeps the rows of what this process measures of traffic up to date, as long as something changes. */
export interface FiguresWriter {
  /** Writes what `read` gives under this topic; one that was there before is replaced. */
  watch(topic: Topic, read: () => object): void
  forget(deployment: string): void
  /** Writes what was not written yet. */
  stop(): Promise<void>
}

interface Watched extends Topic {
  readonly read: () => object
  written: string
}

const defaultEveryMs = 2000

export function createFiguresWriter({ deployments, serverId, logger, everyMs }: WriterDeps): FiguresWriter {
  const watched = new Map<string, Watched>()
  let writing = Promise.resolve()
  let isAway = false

  async function writeChanged(): Promise<void> {
    try {
      for (const each of watched.values()) {
        const figures = each.read()
        const text = JSON.stringify(figures)
        if (text === each.written) continue
        const { deployment: deploymentId, version, topic } = each
        await deployments.writeFigures({ deploymentId, version, serverId, figures: { [topic]: figures } })
        each.written = text
      }
      isAway = false
    } catch (error) {
      if (!isAway) logger.warn({ err: error }, 'figures of traffic cannot be written')
      isAway = true
    }
  }

  const write = () => (writing = writing.then(writeChanged))
  const timer = setInterval(() => void write(), everyMs ?? defaultEveryMs).unref()
  return {
    watch(topic, read) {
      const key = `${topic.deployment} ${topic.topic}`
      const before = watched.get(key)
      // At first there is nothing to say.
      const written = before?.version === topic.version ? before.written : JSON.stringify(read())
      watched.set(key, { ...topic, read, written })
    },
    forget(deployment) {
      for (const [key, each] of watched) if (each.deployment === deployment) watched.delete(key)
    },
    async stop() {
      clearInterval(timer)
      await write()
    },
  }
}

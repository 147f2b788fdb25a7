import type { Logger } from '../telemetry.ts'

export interface Loop {
  /** No further round; resolves when the one in progress is over. */
  stop(): Promise<void>
}

/** Repeats a round with a pause between rounds. A round that fails is logged, and the next one tries again. */
export function startLoop(name: string, intervalMs: number, logger: Logger, round: () => Promise<unknown>): Loop {
  let timer: NodeJS.Timeout | undefined
  let stopped = false
  const run = async (): Promise<void> => {
    try {
      await round()
    } catch (error) {
      logger.warn({ err: error, loop: name }, 'round failed')
    }
    if (!stopped) timer = setTimeout(start, intervalMs)
  }
  let current = Promise.resolve()
  const start = () => {
    current = run()
  }
  start()
  return {
    async stop() {
      stopped = true
      clearTimeout(timer)
      await current
    },
  }
}

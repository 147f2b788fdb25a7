import type { Hosts, NewHost } from '../../storage/index.ts'
import type { Logger } from '../../telemetry.ts'

export interface HeartbeatDeps {
  readonly hosts: Pick<Hosts, 'register' | 'heartbeat'>
  readonly host: NewHost
  readonly intervalMs: number
  readonly currentJobs: () => readonly string[]
  /** What the control plane wants of this host, told at every beat. */
  readonly onDraining: (draining: boolean) => void
  readonly logger: Logger
}

export interface Heartbeat {
  /** Tells the current jobs now. */
  beat(): Promise<void>
  stop(): void
}

/** Registers the host and keeps telling that it lives and what it works on. */
export async function startHeartbeat(deps: HeartbeatDeps): Promise<Heartbeat> {
  const { hosts, host, intervalMs, currentJobs, onDraining, logger } = deps
  await hosts.register(host)
  const beat = async () => {
    try {
      const answer = await hosts.heartbeat(host.id, currentJobs())
      if (answer === undefined) await hosts.register(host)
      else onDraining(answer.draining)
    } catch (error) {
      logger.warn({ err: error }, 'heartbeat not delivered')
    }
  }
  const timer = setInterval(() => void beat(), intervalMs)
  return { beat, stop: () => clearInterval(timer) }
}

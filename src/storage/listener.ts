import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { messageOf } from '../errors.ts'
import type { Logger } from '../telemetry.ts'
import { toStorageError } from './errors.ts'
import type { NotifyHandler } from './storage.ts'

export interface Listener {
  readonly listen: (channel: string, handler: NotifyHandler) => Promise<() => void>
  readonly close: () => Promise<void>
}

const firstRetryMs = 100
const maxRetryMs = 5000

interface ClientPlan {
  readonly connectionString: string
  readonly channels: readonly string[]
  readonly logger: Logger | undefined
  readonly onNotify: (channel: string, payload: string) => void
  /** A connection that stood has ended; one that never stood rejects instead. */
  readonly onEnd: () => void
}

async function openClient({ connectionString, channels, logger, onNotify, onEnd }: ClientPlan): Promise<Client> {
  const client = new Client({ connectionString, keepAlive: true, application_name: 'hasten listen' })
  client.on('error', (error) => logger?.warn({ err: error }, 'the LISTEN connection broke'))
  client.on('notification', ({ channel, payload = '' }) => onNotify(channel, payload))
  try {
    await client.connect()
    for (const channel of channels) await client.query(`LISTEN ${client.escapeIdentifier(channel)}`)
  } catch (error) {
    await client.end().catch(() => undefined)
    throw error
  }
  client.once('end', onEnd)
  return client
}

/** Runs one piece of work after the other: a client takes one query at a time. */
function createTurns(): (work: () => Promise<unknown>) => Promise<unknown> {
  let last: Promise<unknown> = Promise.resolve()
  return async (work) => {
    const turn = last.then(work)
    last = turn.catch(() => undefined)
    return turn
  }
}

/** One connection for all channels, made at the first listen and made again whenever it breaks. */
export function createListener(connectionString: string, logger: Logger | undefined): Listener {
  const handlers = new Map<string, Set<NotifyHandler>>()
  const closing = new AbortController()
  let connection: Promise<Client> | undefined
  const inTurn = createTurns()

  const connect = () => {
    const channels = [...handlers.keys()]
    return openClient({ connectionString, channels, logger, onEnd: () => void reconnect(), onNotify: call })
  }
  const call = (channel: string, payload: string | null) => {
    for (const handler of handlers.get(channel) ?? []) handler(payload)
  }
  const reconnect = async () => {
    for (let waitMs = firstRetryMs; !closing.signal.aborted; waitMs = Math.min(waitMs * 2, maxRetryMs)) {
      connection = connect()
      try {
        await connection
        for (const channel of handlers.keys()) call(channel, null)
        return
      } catch (error) {
        logger?.debug({ reason: messageOf(error) }, 'LISTEN: the database is not back yet')
        await sleep(waitMs, undefined, { signal: closing.signal }).catch(() => undefined)
      }
    }
  }
  const ready = async (): Promise<Client> => {
    const current = (connection ??= connect())
    try {
      return await current
    } catch (error) {
      if (connection === current) connection = undefined
      throw error
    }
  }

  return {
    async listen(channel, handler) {
      const known = handlers.get(channel) ?? new Set()
      handlers.set(channel, known.add(handler))
      const unsubscribe = () => {
        known.delete(handler)
        if (known.size === 0) handlers.delete(channel)
      }
      try {
        const client = await ready()
        await inTurn(async () => client.query(`LISTEN ${client.escapeIdentifier(channel)}`))
        return unsubscribe
      } catch (error) {
        unsubscribe()
        throw toStorageError(error)
      }
    },
    async close() {
      closing.abort()
      const client = await connection?.catch(() => undefined)
      await client?.end()
    },
  }
}

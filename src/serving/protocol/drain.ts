import { Server } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'

const lookMs = 20

/**
 * Takes no more connections, and waits until the clients have let go of those they have: every answer tells them to.
 * Closing at once would cut connections on which a request is under way.
 */
export async function drainConnections({ server }: FastifyInstance, timeoutMs: number): Promise<void> {
  if (!server.listening) return
  // Of a plain server: closing one of HTTP also ends connections that are idle at this moment.
  Server.prototype.close.call(server)
  const until = performance.now() + timeoutMs
  while (performance.now() < until && (await countConnections(server)) > 0) await delay(lookMs)
}

function countConnections(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)))
  })
}

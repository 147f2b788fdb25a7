import { setTimeout as sleep } from 'node:timers/promises'
import { HastenError } from '../../../src/errors.ts'
import { serveParent } from '../../../src/jobs/child-protocol.ts'

interface Order {
  readonly kind: keyof typeof orders
  readonly value?: unknown
}

const forever = 2 ** 30

/** Ways a child may behave and misbehave, by name. */
const orders = {
  echo: async (value: unknown) => value,
  environment: async () => ({ ...process.env }),
  cpus: async () => (await import('../../../src/jobs/hosts/cpu.ts')).cpuAffinity(),
  priority: async () => (await import('node:os')).getPriority(),
  fail: async () => {
    throw new HastenError('dataset_invalid', 'the array x is empty')
  },
  bug: async () => (undefined as unknown as { x: number }).x,
  speak: async () => {
    console.error('some last words')
    process.exit(3)
  },
  crash: async () => process.abort(),
  wait: async (_: unknown, signal: AbortSignal) => {
    console.log('waiting')
    await sleep(forever, undefined, { signal })
  },
  stubborn: async () => {
    console.log('waiting')
    await sleep(forever)
  },
  rubbish: async () => {
    process.send?.({ type: 'done?', anything: 1 })
    await sleep(forever)
  },
  // One leap: RLIMIT_DATA refuses it before the watch can see it.
  leap: async () => Buffer.alloc(64 * 2 ** 30, 1).byteLength,
  // Small steps: each is allowed, the watch adds them up.
  hog: async () => {
    const held: Buffer[] = []
    for (;;) {
      held.push(Buffer.alloc(8 * 2 ** 20, 1))
      await sleep(5)
    }
  },
  // Its own child holds the memory.
  hogBelow: async () => {
    const { fork } = await import('node:child_process')
    const below = fork(new URL(import.meta.url), { stdio: 'ignore' })
    below.send({ kind: 'hog' })
    await sleep(forever)
  },
} satisfies Record<string, (value: unknown, signal: AbortSignal) => Promise<unknown>>

serveParent(async (request, signal) => {
  const { kind, value } = request as Order
  return orders[kind](value, signal)
})

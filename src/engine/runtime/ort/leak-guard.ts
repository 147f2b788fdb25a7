import type { OrtApi } from './api.ts'

/** Frees outputs whose borrower forgot to; a safety net that says so each time, not a way to release. */
export interface LeakGuard {
  /** Watches the memory of a native value; `token` ends the watch. */
  watch(memory: ArrayBufferLike, value: bigint, token: object): void
  unwatch(token: object): void
}

/** @param warn receives one line for each output that was never released */
export function createLeakGuard(api: OrtApi, warn: (message: string) => void): LeakGuard {
  const registry = new FinalizationRegistry<bigint>((value) => {
    api.release('ReleaseValue', value)
    warn('outputs of runBorrowed were collected without release(); their memory was held until now')
  })
  return {
    // The ArrayBuffer, not the object that has `release`: as long as any view of it is reachable it may be read.
    watch: (memory, value, token) => registry.register(memory, value, token),
    unwatch: (token) => registry.unregister(token),
  }
}

import type { Config } from '../config.ts'
import type { Runtime } from '../engine/runtime/port.ts'

interface RuntimeUse {
  /** For a process that loads and unloads for as long as it lives; the others end, or measure and must not be disturbed. */
  readonly trimsHeap?: boolean
  /** Threads that run models and nothing else. */
  readonly runThreads?: number
}

const adapters: Readonly<Record<Config['runtime'], (use: RuntimeUse) => Promise<Runtime>>> = {
  ort: async (use) => (await import('../engine/runtime/ort/index.ts')).createOrtRuntime(use),
  'ort-node': async () => (await import('../engine/runtime/ort-node/index.ts')).createOrtNodeRuntime(),
}

/** The runtime adapter that RUNTIME names. Loads the native library, so only roles that run models call it. */
export async function createRuntime(name: Config['runtime'], use: RuntimeUse = {}): Promise<Runtime> {
  return adapters[name](use)
}

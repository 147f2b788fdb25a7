import type { Config } from '../config.ts'
import type { Runtime } from '../engine/runtime/port.ts'

const adapters: Readonly<Record<Config['runtime'], () => Promise<Runtime>>> = {
  ort: async () => (await import('../engine/runtime/ort/index.ts')).createOrtRuntime(),
  'ort-node': async () => (await import('../engine/runtime/ort-node/index.ts')).createOrtNodeRuntime(),
}

/** The runtime adapter that RUNTIME names. Loads the native library, so only roles that run models call it. */
export async function createRuntime(name: Config['runtime']): Promise<Runtime> {
  return adapters[name]()
}

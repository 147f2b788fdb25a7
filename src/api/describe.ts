import { createLogger, createMetrics } from '../telemetry.ts'
import { buildApi } from './app.ts'
import type { ApiDeps } from './deps.ts'

/** A stand-in for what only requests use: the contract is made from the routes alone. */
function absent<Name extends 'storage' | 'queue' | 'inspect'>(name: Name): ApiDeps[Name] {
  const refuse = () => {
    throw new Error(`${name} is not here: this app only describes itself.`)
  }
  const get = (_target: object, key: string | symbol) =>
    typeof key === 'string' && key !== 'then' ? refuse : undefined
  const proxy: unknown = new Proxy({}, { get })
  return proxy as ApiDeps[Name]
}

/** The OpenAPI document as text, without a database or a queue. */
export async function describeApi(version: string): Promise<string> {
  const app = buildApi({
    storage: absent('storage'),
    queue: absent('queue'),
    inspect: absent('inspect'),
    auth: 'none',
    limits: { uploadBytes: 0 },
    logger: createLogger({ level: 'silent', role: 'describe' }),
    metrics: createMetrics(),
    version,
  })
  await app.ready()
  const text = `${JSON.stringify(app.swagger(), null, 2)}\n`
  await app.close()
  return text
}

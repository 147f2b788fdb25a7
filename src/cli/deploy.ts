import { HastenError } from '../errors.ts'
import type { Client } from './client.ts'

interface DeploymentView {
  readonly name: string
  readonly state: string
  readonly error: { readonly code: string; readonly detail: string; readonly hint?: string } | null
}

const waitSeconds = 60

/** Puts a model, or the result of a job, behind `/v2/models/{name}` and waits until it was loaded, warmed and probed. */
export async function deploy(client: Client, source: string, name: string): Promise<string> {
  const what = source.startsWith('job_') ? { job: source } : { model: source }
  const created = await client.post<DeploymentView>(
    '/v1/deployments',
    { name, ...what },
    { prefer: `wait=${waitSeconds}` },
  )
  if (created.state === 'ready') return `${client.baseUrl}/v2/models/${name}/infer`
  if (created.error !== null) throw new HastenError('deployment_not_ready', `${name}: ${created.error.detail}`)
  throw new HastenError('deployment_not_ready', `${name} is still ${created.state} after ${waitSeconds} s`)
}

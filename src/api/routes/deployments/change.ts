import { HastenError } from '../../../errors.ts'
import type { DeploymentRow, NewVersion, Storage } from '../../../storage/index.ts'
import { found } from '../../context.ts'
import { isTerminal } from '../../schemas/job.ts'
import type { DeploymentChange } from './schema.ts'
import { checkTrafficOf } from './traffic.ts'

type Source = Pick<DeploymentChange, 'model' | 'job' | 'options'>

/**
 * The model a deployment or version is to serve: one named, or what a job made.
 * @throws HastenError `invalid_request`, `not_found`, `job_not_finished`, `job_no_result`
 */
export async function resolveVersion(storage: Storage, project: string, source: Source): Promise<NewVersion> {
  const { model, job, options = {} } = source
  if ((model === undefined) === (job === undefined)) {
    throw new HastenError('invalid_request', 'Name a model or a job, one of the two.', {
      errors: [{ pointer: '/model', detail: 'must be given, or /job, and not both' }],
    })
  }
  if (job !== undefined) return { modelId: await findResult(storage, project, job), jobId: job, options }
  const row = found(await storage.models.find(project, model ?? ''), `model ${model}`)
  return { modelId: row.id, options }
}

async function findResult({ jobs }: Storage, project: string, id: string): Promise<string> {
  const job = found(await jobs.findRow(project, id), `job ${id}`)
  if (!isTerminal(job.state)) throw new HastenError('job_not_finished', `${id} is ${job.state}.`)
  if (job.resultModelId === null) throw new HastenError('job_no_result', `${id} is ${job.state} and made no model.`)
  return job.resultModelId
}

/**
 * Applies a change to the desired state. A new version comes first, so that `active` may name it.
 * @throws HastenError `not_found`, `invalid_request`, and those of `resolveVersion`
 */
export async function changeDeployment(
  storage: Storage,
  project: string,
  name: string,
  change: DeploymentChange,
): Promise<DeploymentRow> {
  const { deployments } = storage
  const { model, job, active, activate, loaded, version_policy: policy, metadata } = change
  const adds = model !== undefined || job !== undefined
  if (!adds && (change.options !== undefined || activate !== undefined)) {
    throw new HastenError('invalid_request', 'options and activate belong to a new version: name its model or job.', {
      errors: [{ pointer: '/model', detail: 'is missing' }],
    })
  }
  const before = found(await deployments.find(project, name), `deployment ${name}`)
  const nextVersion = Math.max(0, ...before.versions.map(({ version }) => version)) + 1
  const versions = new Set([...before.versions.map(({ version }) => version), ...(adds ? [nextVersion] : [])])
  if (active !== undefined && !versions.has(active)) throw noVersion(active)
  checkPolicy(policy, versions)
  const added = adds ? await resolveVersion(storage, project, change) : undefined
  const activates = adds && active === undefined && activate !== false
  const traffic = change.traffic === null ? {} : change.traffic
  const models = new Map(before.versions.map(({ version, modelId }) => [version, modelId]))
  if (added !== undefined) models.set(nextVersion, added.modelId)
  // Before the version is added: a change that is refused leaves nothing behind.
  await checkTrafficOf(storage, project, {
    active: active ?? (activates ? nextVersion : before.active),
    traffic: traffic ?? before.traffic,
    models,
  })
  if (added !== undefined) {
    found(await deployments.addVersion(project, name, { ...added, activate: activates }), `deployment ${name}`)
  }
  const changed = await deployments.update(project, name, { active, loaded, policy, traffic, metadata })
  return found(changed, `deployment ${name}`)
}

/**
 * The versions that are to stay loaded must be there.
 * @throws HastenError `invalid_request`
 */
export function checkPolicy(policy: DeploymentChange['version_policy'], versions: ReadonlySet<number>): void {
  const named = policy !== undefined && 'specific' in policy ? policy.specific : []
  const missing = named.findIndex((version) => !versions.has(version))
  if (missing === -1) return
  throw new HastenError('invalid_request', `The deployment has no version ${named[missing]}.`, {
    errors: [{ pointer: `/version_policy/specific/${missing}`, detail: 'names no version' }],
  })
}

function noVersion(version: number): HastenError {
  const errors = [{ pointer: '/active', detail: 'names no version' }]
  return new HastenError('invalid_request', `The deployment has no version ${version}.`, { errors })
}

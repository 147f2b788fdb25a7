import { HastenError } from '../../../errors.ts'
import type { CascadeSubject } from '../../../jobs/inspect/contract.ts'
import type { DatasetRow, DeploymentRow, ModelRow, Traffic } from '../../../storage/index.ts'
import { found, type ApiRoutes } from '../../context.ts'
import { projectOf } from '../../plugins/auth.ts'
import { describeRoute } from '../../route.ts'
import { nameParams } from '../../schemas/common.ts'
import {
  renderThresholds,
  thresholdRequest,
  thresholdsSchema,
  type NamedCascade,
  type ThresholdRequest,
} from './schema.ts'

const choose = describeRoute({
  id: 'chooseCascadeThreshold',
  tag: 'deployments',
  summary: 'Ask the two versions of a cascade about evaluation samples, and say what each threshold would do',
  // The servers are asked with the same key, which they accept for predictions.
  scope: 'predict',
  errors: [
    'not_found',
    'deployment_not_ready',
    'dataset_mismatch',
    'dataset_invalid',
    'model_out_of_memory',
    'child_crashed',
  ],
  schema: { params: nameParams, body: thresholdRequest, response: { 200: thresholdsSchema } },
})

const defaultSamples = 1000

export const cascadeRoutes: ApiRoutes = async (app, { storage, inspect }) => {
  app.post('/deployments/:name/cascade/threshold', choose, async (request) => {
    const { body } = request
    const project = projectOf(request)
    const row = found(await storage.deployments.find(project, request.params.name), `deployment ${request.params.name}`)
    const dataset = found(await storage.datasets.find(project, body.dataset), `dataset ${body.dataset}`)
    const cascade = readCascade(row, body)
    const modelId = row.versions.find(({ version }) => version === cascade.versions[0])?.modelId ?? ''
    const model = found(await storage.models.find(project, modelId), `model ${modelId}`)
    const { authorization } = request.headers
    const inspected = await inspect.cascade({
      ...fileOf(dataset),
      ...tensorsOf(model, cascade),
      name: row.name,
      url: serverOf(row, cascade),
      versions: [...cascade.versions],
      scores: cascade.scores,
      samples: body.samples ?? defaultSamples,
      ...(authorization === undefined ? {} : { authorization }),
      ...(body.min_accuracy === undefined ? {} : { minAccuracy: body.min_accuracy }),
    })
    return renderThresholds(row.name, cascade, inspected)
  })
}

/** What the request says goes before what the deployment does already. */
function readCascade({ traffic, versions: known }: DeploymentRow, request: ThresholdRequest): NamedCascade {
  const { cascade } = traffic as Traffic
  const [small, large] = request.versions ?? cascade?.versions ?? []
  const output = request.output ?? cascade?.output
  if (small === undefined || large === undefined || output === undefined) {
    const missing = output === undefined ? '/output' : '/versions'
    throw refusal(missing, 'must be given: the deployment has no cascade')
  }
  const index = [small, large].findIndex((each) => known.every(({ version }) => version !== each))
  if (index !== -1) throw refusal(`/versions/${index}`, 'names no version')
  return { versions: [small, large], output, scores: request.scores ?? cascade?.scores ?? 'softmax' }
}

function refusal(pointer: string, detail: string): HastenError {
  return new HastenError('invalid_request', `${pointer.slice(1)} ${detail}.`, { errors: [{ pointer, detail }] })
}

function fileOf({ id, files, schema }: DatasetRow): Pick<CascadeSubject, 'file' | 'label'> {
  const [file] = files
  if (file === undefined) throw new HastenError('storage_corrupt', `dataset ${id} has no file`)
  const { labels } = schema as { readonly labels?: string | null }
  return { file, ...(typeof labels === 'string' ? { label: labels } : {}) }
}

interface StoredSignature {
  readonly inputs: readonly (CascadeSubject['inputs'][number] & { readonly dynamic_rank?: boolean })[]
  readonly outputs: readonly CascadeSubject['output'][]
}

function tensorsOf({ signature }: ModelRow, { output }: NamedCascade): Pick<CascadeSubject, 'inputs' | 'output'> {
  const { inputs, outputs } = signature as unknown as StoredSignature
  const scored = outputs.find(({ name }) => name === output)
  if (scored === undefined)
    throw refusal('/output', `is none of the model's: ${outputs.map(({ name }) => name).join(', ')}`)
  if (!/float/.test(scored.dtype)) throw refusal('/output', `is ${scored.dtype}: scores are floats`)
  return {
    output: { name: scored.name, dtype: scored.dtype },
    inputs: inputs.map(toTensorInfo),
  }
}

function toTensorInfo({ name, dtype, dims, dynamic_rank: anyRank }: StoredSignature['inputs'][number]) {
  return anyRank === true ? { name, dtype, dims, anyRank } : { name, dtype, dims }
}

/** A server that has both: they share a host, so that their times compare. */
function serverOf({ name, versions }: DeploymentRow, cascade: NamedCascade): string {
  const [first = [], second = []] = cascade.versions.map((wanted) => {
    const replicas = versions.find(({ version }) => version === wanted)?.replicas ?? []
    return replicas.filter(({ state }) => state === 'ready' || state === 'idle')
  })
  const both = first.find(({ serverId }) => second.some((other) => other.serverId === serverId))
  if (both !== undefined) return both.url
  throw new HastenError(
    'deployment_not_ready',
    `No server has versions ${cascade.versions.join(' and ')} of ${name}.`,
    {
      hint: 'Name both in its traffic: a cascade of threshold 1 answers as the large version does.',
      retryAfter: 1,
    },
  )
}

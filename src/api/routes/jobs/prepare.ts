import { missingData, parseGates, recipeModels } from '../../../engine/schemas.ts'
import { HastenError } from '../../../errors.ts'
import { hostQueue, queueOf } from '../../../jobs/contracts.ts'
import type { HostRow, NewJob, Storage } from '../../../storage/index.ts'
import { resolveRecipe, type ResolvedRecipe } from '../../recipes.ts'
import type { NewJobBody } from '../../schemas/job.ts'
import { hostLiveMs } from '../hosts/schema.ts'
import { parseDuration } from './durations.ts'

/** Where a job is to run, everything filled in. */
export interface Target {
  readonly device: 'cpu' | 'cuda'
  readonly threads: number
  readonly batch: number
  readonly host: string | null
  readonly labels: Readonly<Record<string, string>>
}

/** A request for a job. */
interface JobRequest {
  readonly body: NewJobBody
  /** The body as it came. */
  readonly text: string
  readonly now: Date
}

/**
 * Checks a job request as far as it can be checked before a worker has it, and resolves its recipe and queue.
 * @throws HastenError `recipe_invalid`, `gate_invalid`, `dataset_needed`, `device_unavailable`, `not_found`, `invalid_request`
 */
export async function prepareJob(storage: Storage, project: string, { body, text, now }: JobRequest): Promise<NewJob> {
  const recipe = await resolveRecipe(storage.recipes, project, body.recipe, text)
  parseGates(body.gates ?? [])
  checkDatasets(recipe, body)
  const target = readTarget(body)
  await checkReferences(storage, project, body, recipe)
  await checkLabels(storage, project, body, recipe)
  const queue = await chooseQueue(storage, project, target)
  return {
    project,
    modelId: body.model,
    recipe,
    datasets: body.datasets ?? {},
    target,
    gates: body.gates ?? [],
    queue,
    metadata: body.metadata ?? {},
    webhook: body.webhook ?? null,
    deadlineAt: typeof body.deadline === 'string' ? new Date(now.getTime() + parseDuration(body.deadline)) : null,
  }
}

/** @param labelled whether the train dataset has labels; they are taken for granted before the row was read */
function checkDatasets(recipe: ResolvedRecipe, { datasets = {} }: NewJobBody, labelled = true): void {
  const given = {
    ...(datasets.calibration !== undefined && { calibration: { labels: true } }),
    ...(datasets.train !== undefined && { train: { labels: labelled } }),
  }
  const missing = missingData(recipe.body, given)
  if (missing.length === 0) return
  const roles = missing.map(({ role }) => role).join(' and a ')
  const what = labelled ? '' : ' with labels'
  const errors = missing.map(({ role, detail }) => ({ pointer: `/datasets/${role}`, detail }))
  throw new HastenError('dataset_needed', `The recipe ${recipe.name} needs a ${roles} dataset${what}.`, { errors })
}

async function checkLabels(storage: Storage, project: string, body: NewJobBody, recipe: ResolvedRecipe): Promise<void> {
  const id = body.datasets?.train
  if (id === undefined) return
  const row = await storage.datasets.find(project, id)
  checkDatasets(recipe, body, typeof row?.schema['labels'] === 'string')
}

function readTarget({ target = {} }: NewJobBody): Target {
  const { device = 'cpu', threads = 1, batch = 1, host = null, labels = {} } = target
  return { device, threads, batch, host, labels }
}

/** One question each, all at once: a wrong id is named with its field. */
async function checkReferences(
  storage: Storage,
  project: string,
  body: NewJobBody,
  recipe: ResolvedRecipe,
): Promise<void> {
  const findModel = async (id: string) => storage.models.find(project, id)
  const wanted = [
    { pointer: '/model', id: body.model, find: findModel },
    ...recipeModels(recipe.body).map(({ id, pointer }) => ({ pointer: `/recipe${pointer}`, id, find: findModel })),
    ...Object.entries(body.datasets ?? {}).map(([role, id]) => ({
      pointer: `/datasets/${role}`,
      id,
      find: async () => storage.datasets.find(project, id),
    })),
    ...(typeof body.webhook === 'string'
      ? [{ pointer: '/webhook', id: body.webhook, find: async (id: string) => storage.webhooks.find(project, id) }]
      : []),
  ]
  const rows = await Promise.all(wanted.map(async ({ find, id }) => find(id)))
  const absent = wanted.filter((_, index) => rows[index] === undefined)
  if (absent.length === 0) return
  const errors = absent.map(({ pointer, id }) => ({ pointer, detail: `there is no ${id}` }))
  throw new HastenError('not_found', `There is no ${absent.map(({ id }) => id).join(', no ')}.`, { errors })
}

/**
 * The queue of the job. A CPU job may wait for a worker to come; what only some hosts have must be there now. Labels
 * belong to hosts, not to queues, so a job that asks for labels goes to the least busy host that has them.
 */
async function chooseQueue(storage: Storage, project: string, target: Target): Promise<string> {
  const anyCpu = target.device === 'cpu' && target.host === null && Object.keys(target.labels).length === 0
  if (anyCpu) return queueOf(target)
  const live = await storage.hosts.list(project, { liveWithinMs: hostLiveMs })
  const fitting = live.filter((host) => fits(host, target))
  const [host] = fitting.toSorted((a, b) => a.currentJobs.length - b.currentJobs.length)
  if (host === undefined) throw unavailable(target, live)
  return target.host === null && Object.keys(target.labels).length === 0 ? queueOf(target) : hostQueue(host.id)
}

function fits(host: HostRow, { device, host: id, labels }: Target): boolean {
  if (host.draining || !host.queues.includes(device)) return false
  if (id !== null && host.id !== id) return false
  return Object.entries(labels).every(([key, value]) => host.labels[key] === value)
}

function unavailable({ device, host, labels }: Target, live: readonly HostRow[]): HastenError {
  const offered = [...new Set(live.flatMap(({ queues }) => queues))].filter((name) => !name.startsWith('host-'))
  const wanted = [
    device,
    ...(host === null ? [] : [`host ${host}`]),
    ...Object.entries(labels).map((pair) => pair.join('=')),
  ]
  const pointer = host === null ? '/target/device' : '/target/host'
  const detail = `No live worker offers ${wanted.join(', ')}; there is ${offered.join(', ') || 'none at all'}.`
  return new HastenError('device_unavailable', detail, { errors: [{ pointer, detail: 'is not offered' }] })
}

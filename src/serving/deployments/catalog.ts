import { HastenError } from '../../errors.ts'
import type { Catalog, Repository, Routing, ServedVersion, VersionStatus } from '../served-version.ts'
import type { Traffic } from '../traffic/route.ts'
import { answeringVersions, isSettled, statusesOf, type Entry } from './entry.ts'
import { answering, errorOf, stateOf } from './slot.ts'

/** What the loop over the rows tells the catalog. */
export interface LoopState {
  /** Deployments that were wanted at the first look; undefined before it. */
  first: readonly Entry[] | undefined
  stopping: boolean
}

const indexStates = { ready: 'READY', idle: 'READY', loading: 'LOADING', failed: 'UNAVAILABLE' } as const

/** The deployments by name, each seen by its own project only. */
export function createCatalog(
  entries: ReadonlyMap<string, Entry>,
  loop: LoopState,
  { traffic, repository }: { readonly traffic: Traffic; readonly repository: Repository },
): Catalog {
  const ofProject = (project: string) => [...entries.values()].filter(({ row }) => row.project === project)
  const served = (list: Iterable<Entry>) => [...list].flatMap((entry) => answeringVersions(entry).values().toArray())
  const started = () => loop.first?.every((entry) => isSettled(entry) || entries.get(entry.row.name) !== entry) ?? false
  const ofName = (project: string, name: string) => {
    const entry = entries.get(name)
    if (entry !== undefined && entry.row.project === project) return entry
    throw new HastenError('not_found', `There is no model '${name}'.`, {
      hint: 'GET /v1/deployments lists the deployments of the project of your key.',
    })
  }
  return {
    ...repository,
    find: (project, name, version, routing) => findVersion(ofName(project, name), traffic, version, routing),
    loaded: (project, name) => [...answeringVersions(ofName(project, name)).values()],
    checkReady({ name, version }) {
      const slot = entries.get(name)?.slots.get(Number(version))
      const error = slot && errorOf(slot)
      if (error !== undefined) throw new HastenError('deployment_not_ready', error.detail)
    },
    list: (project) => served(ofProject(project)),
    status: (project) => ofProject(project).flatMap(indexLines),
    all: () => served(entries.values()),
    started,
    unready() {
      if (loop.stopping) return 'the server is shutting down'
      if (!started()) return 'the deployments are being loaded'
      return undefined
    },
  }
}

function findVersion(entry: Entry, traffic: Traffic, version?: string, routing?: Routing): ServedVersion {
  const found = version === undefined ? findAnswering(entry, traffic, routing) : findNamed(entry, version)
  if (found !== undefined) return found
  throw unanswered(entry, version === undefined ? entry.row.active : Number(version))
}

function findNamed({ slots }: Entry, version: string): ServedVersion | undefined {
  const slot = slots.get(Number(version))
  const served = slot && answering(slot)
  return served?.version === version ? served : undefined
}

function findAnswering(entry: Entry, traffic: Traffic, routing: Routing | undefined): ServedVersion | undefined {
  const versions = answeringVersions(entry)
  const routed = routing && traffic.route(versions, entry.plan, routing)
  // While the active version is being loaded, the one before it answers.
  return routed ?? versions.get(entry.row.active) ?? versions.get(entry.serving ?? entry.row.active)
}

function unanswered({ row: { name, active, loaded }, slots }: Entry, version: number): HastenError {
  if (!loaded) {
    return new HastenError('not_found', `Model '${name}' is unloaded.`, {
      hint: `POST /v2/repository/models/${name}/load loads it.`,
    })
  }
  const slot = slots.get(version)
  if (slot === undefined && version !== active) {
    return new HastenError('not_found', `Version ${version} of model '${name}' is not loaded; ${active} is active.`)
  }
  const error = slot && stateOf(slot) === 'failed' ? errorOf(slot) : undefined
  const what = slot?.loaded === undefined ? 'it failed to load' : 'it no longer works'
  const detail = error === undefined ? 'it is being loaded' : `${what}: ${error.detail}`
  const hint = error === undefined ? {} : { hint: error.hint }
  return new HastenError('deployment_not_ready', `Model '${name}' is not ready: ${detail}`, { retryAfter: 1, ...hint })
}

function indexLines(entry: Entry): VersionStatus[] {
  const { name, active, loaded } = entry.row
  const lines: VersionStatus[] = statusesOf(entry).map(({ version, state, error }) => ({
    name,
    version: String(version),
    state: indexStates[state],
    reason: error?.detail ?? (state === 'idle' ? 'idle: the next request loads it' : ''),
  }))
  for (const { row } of entry.retiring) {
    if (entry.slots.has(row.version)) continue
    lines.push({ name, version: String(row.version), state: 'UNLOADING', reason: '' })
  }
  if (loaded || lines.length > 0) return lines.toSorted((a, b) => Number(a.version) - Number(b.version))
  return [{ name, version: String(active), state: 'UNAVAILABLE', reason: 'unloaded' }]
}

import { HastenError } from '../../errors.ts'
import type { Catalog, ServedVersion, VersionStatus } from '../served-version.ts'
import { isSettled, statusesOf, type Entry } from './entry.ts'

/** What the loop over the rows tells the catalog. */
export interface LoopState {
  /** Deployments that were wanted at the first look; undefined before it. */
  first: readonly Entry[] | undefined
  stopping: boolean
}

const indexStates = { ready: 'READY', loading: 'LOADING', failed: 'UNAVAILABLE' } as const

/** The deployments by name, each seen by its own project only. */
export function createCatalog(entries: ReadonlyMap<string, Entry>, loop: LoopState): Catalog {
  const ofProject = (project: string) => [...entries.values()].filter(({ row }) => row.project === project)
  const served = (list: Iterable<Entry>) => [...list].flatMap(({ current }) => (current ? [current.served] : []))
  const started = () => loop.first?.every((entry) => isSettled(entry) || entries.get(entry.row.name) !== entry) ?? false
  return {
    find(project, name, version) {
      const entry = entries.get(name)
      if (entry === undefined || entry.row.project !== project) {
        throw new HastenError('not_found', `There is no model '${name}'.`, {
          hint: 'GET /v1/deployments lists the deployments of the project of your key.',
        })
      }
      return findVersion(entry, version)
    },
    checkReady(model) {
      const error = entries.get(model.name)?.health.error
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

function findVersion({ current, row, failure }: Entry, version: string | undefined): ServedVersion {
  if (current !== undefined && (version === undefined || version === current.served.version)) return current.served
  if (version !== undefined && Number(version) !== row.active) {
    throw new HastenError(
      'not_found',
      `Version ${version} of model '${row.name}' is not loaded; ${row.active} is active.`,
    )
  }
  const isFailed = failure?.version === row.active
  const detail = isFailed ? `it failed to load: ${failure.error.detail}` : 'it is being loaded'
  throw new HastenError('deployment_not_ready', `Model '${row.name}' is not ready: ${detail}`, {
    retryAfter: 1,
    ...(isFailed ? { hint: failure.error.hint } : {}),
  })
}

function indexLines(entry: Entry): VersionStatus[] {
  return statusesOf(entry).map(({ version, state, error }) => ({
    name: entry.row.name,
    version: String(version),
    state: indexStates[state],
    error,
  }))
}

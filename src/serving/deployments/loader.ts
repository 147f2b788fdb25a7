import type { Logger } from '../../telemetry.ts'
import { currentVersion, freshHealth, recordFailure, type Entry } from './entry.ts'
import { loadVersion, type LoadDeps, type LoadedVersion } from './load-version.ts'

/** Loads at a time: each takes a core and the memory of a model. */
const maxLoads = 2

/** Brings entries to the version they want, in the background. */
export interface Loader {
  /** Starts what `entry` needs now; `changed` is called when something has come of it. */
  advance(entry: Entry): void
  /** Gives up loading and lets the current version end its requests. */
  dispose(entry: Entry): void
  /** Resolves when everything that was given up has been freed. */
  settled(): Promise<void>
}

export function createLoader(deps: LoadDeps & { readonly logger: Logger }, changed: () => void): Loader {
  const loads = new Set<Promise<void>>()
  const retiring = new Set<Promise<void>>()

  function track(set: Set<Promise<void>>, work: Promise<void>): void {
    const tracked = work.finally(() => {
      set.delete(tracked)
      changed()
    })
    set.add(tracked)
  }

  function retire(loaded: LoadedVersion | undefined): void {
    if (loaded === undefined) return
    const { name, version } = loaded.served
    const failed = (error: unknown) => deps.logger.error({ err: error, model: name, version }, 'version not unloaded')
    track(retiring, loaded.retire().catch(failed))
  }

  async function load(entry: Entry, version: number, abort: AbortController): Promise<void> {
    const labels = { model: entry.row.name, version }
    const startedAt = performance.now()
    try {
      const row = entry.row.versions.find((each) => each.version === version)
      // The row is read in one query with its versions, so the active one is among them.
      if (row === undefined) throw new Error(`version ${version} has no row`)
      const loaded = await loadVersion(deps, entry.row, row, abort.signal)
      if (abort.signal.aborted) return retire(loaded)
      retire(entry.current)
      Object.assign(entry, { current: loaded, failure: undefined, health: freshHealth() })
      deps.logger.info({ ...labels, tookMs: Math.round(performance.now() - startedAt) }, 'version ready')
    } catch (error) {
      if (abort.signal.aborted) return
      recordFailure(entry, version, error)
      deps.logger.warn({ ...labels, err: error }, 'version failed')
    } finally {
      if (entry.loading?.abort === abort) entry.loading = undefined
    }
  }

  return {
    advance(entry) {
      const wanted = entry.row.active
      if (entry.loading?.version === wanted) return
      entry.loading?.abort.abort()
      entry.loading = undefined
      if (currentVersion(entry) === wanted) return
      if (entry.failure?.version === wanted && entry.failure.retryAt > performance.now()) return
      if (loads.size >= maxLoads) return
      const abort = new AbortController()
      entry.loading = { version: wanted, abort }
      track(loads, load(entry, wanted, abort))
    },
    dispose(entry) {
      entry.loading?.abort.abort()
      entry.loading = undefined
      retire(entry.current)
      entry.current = undefined
    },
    async settled() {
      // A load that was given up may still have something to retire.
      while (loads.size + retiring.size > 0) await Promise.all([...loads, ...retiring])
    },
  }
}

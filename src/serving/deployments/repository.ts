import { HastenError } from '../../errors.ts'
import type { DeploymentRow, Deployments } from '../../storage/index.ts'
import type { Repository } from '../served-version.ts'
import type { Entry } from './entry.ts'
import { errorOf, stateOf } from './slot.ts'
import type { Watch } from './watch.ts'

/** A load or unload that takes longer goes on without its caller. */
const patienceMs = 300_000

interface RepositoryDeps {
  readonly deployments: Pick<Deployments, 'update'>
  readonly entries: ReadonlyMap<string, Entry>
  readonly watch: Watch
}

/**
 * Loading and unloading by name, as Triton has it. What is wanted is written to the row, so that every replica follows;
 * this one is waited for.
 */
export function createRepository({ deployments, entries, watch }: RepositoryDeps): Repository {
  const change = async (project: string, name: string, loaded: boolean) => {
    const row = await deployments.update(project, name, { loaded })
    if (row === undefined) throw new HastenError('not_found', `There is no model '${name}'.`)
    return row
  }
  /** Undefined once the deployment is gone. */
  const entryOf = ({ id, name }: DeploymentRow) => {
    const entry = entries.get(name)
    return entry?.row.id === id ? entry : undefined
  }
  return {
    async load(project, name) {
      const row = await change(project, name, true)
      await watch.until(patienceMs, () => {
        const entry = entryOf(row)
        // A row that was just made has not been read yet.
        return entry !== undefined && entry.row.loaded && activeState(entry) !== 'loading'
      })
      const entry = entryOf(row)
      const slot = entry?.slots.get(entry.row.active)
      const error = slot && errorOf(slot)
      if (error === undefined) return
      throw new HastenError('deployment_not_ready', `'${name}' failed to load: ${error.detail}`, { hint: error.hint })
    },
    async unload(project, name) {
      const row = await change(project, name, false)
      await watch.until(patienceMs, () => {
        const entry = entryOf(row)
        return entry === undefined || (!entry.row.loaded && entry.slots.size + entry.retiring.size === 0)
      })
    },
  }
}

function activeState({ slots, row }: Entry) {
  const slot = slots.get(row.active)
  return slot === undefined ? 'loading' : stateOf(slot)
}

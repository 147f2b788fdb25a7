import type { Deployments } from '../../storage/index.ts'
import { statusesOf, type Entry, type LocalStatus } from './entry.ts'

export interface Reporter {
  readonly deployments: Deployments
  readonly serverId: string
  /** Where this process can be reached. */
  readonly url: string
}

/** Writes what the rows do not say yet of this process, and removes what is no longer true. */
export async function reportEntry(reporter: Reporter, entry: Entry): Promise<void> {
  const { deployments, serverId, url } = reporter
  const deploymentId = entry.row.id
  const local = new Map(statusesOf(entry).map((status) => [status.version, status]))
  for (const { version, replicas } of entry.row.versions) {
    const stored = replicas.find((replica) => replica.serverId === serverId)
    const status = local.get(version)
    if (status !== undefined && !isSaid(status, stored)) {
      await deployments.reportReplica({ deploymentId, serverId, url, ...status })
    }
    if (status === undefined && stored !== undefined) {
      await deployments.removeReplica({ deploymentId, version, serverId })
    }
  }
}

function isSaid(status: LocalStatus, stored: { state: string; error: LocalStatus['error'] } | undefined): boolean {
  return stored?.state === status.state && stored.error?.detail === status.error?.detail
}

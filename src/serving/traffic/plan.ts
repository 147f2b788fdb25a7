import { Check } from 'typebox/value'
import {
  trafficSchema,
  versionsOfTraffic,
  type CanaryPoint,
  type DeploymentRow,
  type Traffic,
} from '../../storage/index.ts'

/** Who answers the requests of a deployment that name no version. */
export interface TrafficPlan extends Omit<Traffic, 'canary'> {
  /** With the weight of the step it is at. */
  readonly canary?: NonNullable<Traffic['canary']> & { readonly point: CanaryPoint }
  /** The deployment's id. */
  readonly deployment: string
  readonly project: string
  readonly name: string
  readonly active: number
  /** Equal for plans that say the same, so that what was built for one serves the other. */
  readonly key: string
}

type PlannedRow = Pick<DeploymentRow, 'id' | 'project' | 'name' | 'active' | 'traffic' | 'canary' | 'versions'>

/**
 * The plan of a row; read it once for each row, not for each request. Traffic that this release can't read, which a
 * newer one wrote, is left out: the active version answers then.
 */
export function readPlan(row: PlannedRow): TrafficPlan {
  const traffic = Check(trafficSchema, row.traffic) ? row.traffic : {}
  const { id, project, name, active } = row
  const identity = { deployment: id, project, name, active }
  const { canary, ...others } = traffic
  const state = row.canary
  if (canary === undefined || state?.decision !== 'running') {
    return { ...others, ...identity, key: JSON.stringify([id, active, others]) }
  }
  const { version, started_at: startedAt, step, weight } = state
  const point = { version, startedAt, step }
  const staged = { ...others, canary: { ...canary, weight, point } }
  return { ...staged, ...identity, key: JSON.stringify([id, active, staged]) }
}

/** The active version, and every other that the traffic names: those that must be loaded. */
export function plannedVersions(row: PlannedRow): readonly number[] {
  const named = versionsOfTraffic(readPlan(row)).map(({ version }) => version)
  const existing = new Set(row.versions.map(({ version }) => version))
  return [...new Set([row.active, ...named])].filter((version) => existing.has(version))
}

import { Type, type Static } from 'typebox'
import { Check } from 'typebox/value'
import type { DeploymentRow } from '../../storage/index.ts'
import { plannedVersions } from '../traffic/plan.ts'

const policySchema = Type.Object({
  latest: Type.Optional(Type.Integer({ minimum: 1 })),
  specific: Type.Optional(Type.Array(Type.Integer())),
  all: Type.Optional(Type.Literal(true)),
})

/** Versions that are to be loaded, the active one first: what traffic needs, and what the policy keeps besides. */
export function wantedVersions(row: DeploymentRow): readonly number[] {
  if (!row.loaded) return []
  const existing = row.versions.map(({ version }) => version)
  // A policy that a newer release wrote keeps nothing.
  const kept = Check(policySchema, row.policy) ? keptVersions(row.policy, existing) : []
  return [...new Set([...plannedVersions(row), ...kept])]
}

function keptVersions({ latest, specific, all }: Static<typeof policySchema>, existing: readonly number[]) {
  if (all === true) return existing
  if (latest !== undefined) return existing.toSorted((a, b) => b - a).slice(0, latest)
  return existing.filter((version) => specific?.includes(version))
}

import type { readPlan } from '../../../src/serving/traffic/plan.ts'

type PlannedRow = Parameters<typeof readPlan>[0]

const running = {
  decision: 'running' as const,
  reason: null,
  step: 0,
  started_at: '2026-01-01T00:00:00.000Z',
  steps: [],
}

/** What traffic is read from: a deployment of these versions, its canary at its first step. */
export function rowOf(traffic: object, { active = 1, versions = [1, 2, 3] } = {}): PlannedRow {
  const { canary } = traffic as { readonly canary?: { readonly version: number; readonly weight: number } }
  return {
    id: 'dep_1',
    project: 'default',
    name: 'digits',
    active,
    traffic: traffic as PlannedRow['traffic'],
    canary: canary === undefined ? null : { ...running, version: canary.version, weight: canary.weight },
    versions: versions.map((version) => {
      return { version, modelId: `mdl_${version}`, jobId: null, options: {}, createdAt: new Date(0), replicas: [] }
    }),
  }
}

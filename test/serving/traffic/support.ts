import type { readPlan } from '../../../src/serving/traffic/plan.ts'

type PlannedRow = Parameters<typeof readPlan>[0]

/** What traffic is read from: a deployment of these versions. */
export function rowOf(traffic: object, { active = 1, versions = [1, 2, 3] } = {}): PlannedRow {
  return {
    id: 'dep_1',
    project: 'default',
    name: 'digits',
    active,
    traffic: traffic as PlannedRow['traffic'],
    versions: versions.map((version) => {
      return { version, modelId: `mdl_${version}`, jobId: null, options: {}, createdAt: new Date(0), replicas: [] }
    }),
  }
}

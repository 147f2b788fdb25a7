import { readFile } from 'node:fs/promises'
import { fastify } from 'fastify'
import { expect, test } from 'vitest'
import { metricsPlugin } from '../src/api/plugins/metrics.ts'
import { createJobMetrics } from '../src/jobs/metrics.ts'
import { registerServingMetrics } from '../src/serving/metrics.ts'
import { createCascadeTotals } from '../src/serving/traffic/cascade-totals.ts'
import { registerShadowMetrics } from '../src/serving/traffic/shadow-totals.ts'
import { createMetrics } from '../src/telemetry.ts'
import { catalogOf } from './serving/support.ts'

interface Dashboard {
  readonly panels: readonly { readonly title: string; readonly targets: readonly { readonly expr: string }[] }[]
}

test('every metric that the dashboard asks for is one that Hasten exports', async () => {
  const metrics = createMetrics()
  registerServingMetrics(metrics, catalogOf([]))
  createCascadeTotals(metrics)
  registerShadowMetrics(metrics, () => [])
  createJobMetrics(metrics)
  const app = fastify()
  await app.register(metricsPlugin, { metrics })
  await app.close()
  const exported = new Set((await metrics.getMetricsAsJSON()).map(({ name }) => name))

  const file = new URL('../docs/observability/grafana-dashboard.json', import.meta.url)
  const { panels } = JSON.parse(await readFile(file, 'utf8')) as Dashboard
  expect(panels.length).toBeGreaterThan(9)
  for (const { title, targets } of panels) {
    const asked = targets.flatMap(({ expr }) => expr.match(/\b(?:nv|hasten)_\w+/g) ?? [])
    expect(asked.length, title).toBeGreaterThan(0)
    for (const name of asked) expect(exported, title).toContain(name.replace(/_bucket$/, ''))
  }
})

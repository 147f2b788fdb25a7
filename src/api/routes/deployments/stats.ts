import {
  addHistograms,
  quantileMs,
  recentMs,
  requestParts,
  servingTopic,
  type DeploymentRow,
  type Deployments,
  type DeploymentVersionRow,
  type Histogram,
  type RequestPart,
  type ServingFigures,
} from '../../../storage/index.ts'
import type { DeploymentStats, VersionStats } from './stats-schema.ts'
import { trafficReport } from './stats-traffic.ts'

type FiguresRow = Awaited<ReturnType<Deployments['listFigures']>>[number]

/** A process that has written nothing for so long has had no request within the last minute. */
const staleMs = 10_000
const secondsOf = recentMs / 1000

/** What the live servers of a deployment told, added up. */
export function renderStats(row: DeploymentRow, figures: readonly FiguresRow[], now: number): DeploymentStats {
  const { name, active, versions } = row
  return {
    object: 'deployment_stats',
    name,
    active,
    versions: versions.map((version) => renderVersion(version, figures, now)),
  }
}

function renderVersion(
  { version, replicas }: DeploymentVersionRow,
  figures: readonly FiguresRow[],
  now: number,
): VersionStats {
  const live = new Set(replicas.map(({ serverId }) => serverId))
  const rows = figures.filter((row) => row.version === version && live.has(row.serverId))
  const told = rows.flatMap(({ figures: topics }) => (topics[servingTopic] as ServingFigures | undefined) ?? [])
  const fresh = rows.flatMap(({ figures: topics, writtenAt }) =>
    now - writtenAt.getTime() < staleMs ? ((topics[servingTopic] as ServingFigures | undefined) ?? []) : [],
  )
  const last = Math.max(0, ...told.map(({ lastInference }) => lastInference))
  const errors = addCounts(told.map(({ failures }) => failures))
  return {
    version,
    servers: told.length,
    requests: {
      total: sum(told, ({ requests }) => requests),
      failed: Object.values(errors).reduce((total, each) => total + each, 0),
      rows: sum(told, ({ rows: answered }) => answered),
      runs: sum(told, ({ executions }) => executions),
    },
    last_minute: lastMinute(fresh),
    errors,
    queue: { waiting: sum(fresh, ({ queued }) => queued), running: sum(fresh, ({ inFlight }) => inFlight) },
    batches: batchesOf(told),
    traffic: trafficReport(rows),
    last_inference: last === 0 ? null : new Date(last).toISOString(),
  }
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0)
}

function addCounts(counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const total: Record<string, number> = {}
  for (const each of counts) for (const [key, value] of Object.entries(each)) total[key] = (total[key] ?? 0) + value
  return total
}

function lastMinute(told: readonly ServingFigures[]): VersionStats['last_minute'] {
  const recent = told.map((each) => each.recent)
  const requests = sum(recent, (each) => each.requests)
  const latency = (part: RequestPart) => percentilesOf(addHistograms(recent.map((each) => each.latency[part])))
  const [total, queue, input, infer, output] = requestParts.map(latency)
  return {
    requests,
    failed: sum(recent, ({ failed }) => failed),
    requests_per_second: requests / secondsOf,
    rows_per_second: sum(recent, ({ rows }) => rows) / secondsOf,
    latency_ms: {
      total: total ?? null,
      queue: queue ?? null,
      input: input ?? null,
      infer: infer ?? null,
      output: output ?? null,
    },
  }
}

function percentilesOf(histogram: Histogram): VersionStats['last_minute']['latency_ms']['total'] {
  const at = (q: number) => Number(quantileMs(histogram, q)?.toPrecision(3))
  return quantileMs(histogram, 0.5) === undefined ? null : { p50: at(0.5), p90: at(0.9), p95: at(0.95), p99: at(0.99) }
}

function batchesOf(told: readonly ServingFigures[]): VersionStats['batches'] {
  const bySize = new Map<number, { runs: number; ms: number }>()
  for (const { batches } of told) {
    for (const [size, { runs, ms }] of Object.entries(batches)) {
      const known = bySize.get(Number(size)) ?? { runs: 0, ms: 0 }
      bySize.set(Number(size), { runs: known.runs + runs, ms: known.ms + ms })
    }
  }
  return [...bySize]
    .toSorted(([a], [b]) => a - b)
    .map(([size, { runs, ms }]) => ({ size, runs, mean_ms: runs === 0 ? null : ms / runs }))
}

import {
  addMoments,
  canaryTopic,
  cascadeTopic,
  driftOf,
  shadowTopic,
  type CascadeFigures,
  type Deployments,
  type ShadowFigures,
} from '../../../storage/index.ts'
import type { ShadowReport, TrafficReport } from './stats-traffic-schema.ts'

type FiguresRow = Awaited<ReturnType<Deployments['listFigures']>>[number]

/** What servers told of the traffic of one version, added up. */
export function trafficReport(rows: readonly FiguresRow[]): TrafficReport {
  const newest = rows.toSorted((a, b) => b.writtenAt.getTime() - a.writtenAt.getTime())
  const topic = <Figures>(name: string) => newest.flatMap(({ figures }) => (figures[name] as Figures | undefined) ?? [])
  return {
    shadow: shadowReport(topic<ShadowFigures>(shadowTopic)),
    canary: newest.flatMap(({ serverId, figures }) => {
      const told = figures[canaryTopic] as Omit<TrafficReport['canary'][number], 'server'> | undefined
      return told === undefined ? [] : [{ server: serverId, ...told }]
    }),
    cascade: cascadeReport(topic<CascadeFigures>(cascadeTopic)),
  }
}

function cascadeReport(told: readonly CascadeFigures[]): TrafficReport['cascade'] {
  if (told.length === 0) return null
  const rows = sum(told, (each) => each.rows)
  const forwarded = sum(told, (each) => each.forwarded)
  return { rows, forwarded, rate: ratio(forwarded, rows) }
}

/** Newest first: only what is compared with the same version adds up. */
function shadowReport(all: readonly ShadowFigures[]): ShadowReport | null {
  const [latest] = all
  if (latest === undefined) return null
  const told = all.filter(({ primary }) => primary === latest.primary)
  const total = (of: (figures: ShadowFigures) => number) => sum(told, of)
  const [compared, rows, flips, cosines] = [
    total((each) => each.compared),
    total((each) => each.rows),
    total((each) => each.flips),
    total((each) => each.cosines),
  ]
  const primaryMs = total(({ primary_ms }) => primary_ms)
  return {
    compared_with: latest.primary,
    servers: told.length,
    compared,
    agreement: ratio(
      total(({ agreed }) => agreed),
      compared,
    ),
    failed: total(({ failed }) => failed),
    dropped: total(({ dropped }) => dropped),
    mismatched: total(({ mismatched }) => mismatched),
    rows,
    top1_flips: flips,
    flip_rate: ratio(flips, rows),
    max_abs: Math.max(...told.map(({ max_abs }) => max_abs)),
    mean_cosine: ratio(
      total(({ cosine }) => cosine),
      cosines,
    ),
    min_cosine: cosines === 0 ? null : Math.min(...told.map(({ min_cosine }) => min_cosine)),
    latency_ratio: ratio(
      total(({ candidate_ms }) => candidate_ms),
      primaryMs,
    ),
    drift: { active: driftIn(told, 'primary'), shadow: driftIn(told, 'candidate') },
    last_mismatch: told.find(({ last_mismatch }) => last_mismatch !== null)?.last_mismatch ?? null,
    last_error: told.find(({ last_error }) => last_error !== null)?.last_error ?? null,
  }
}

function driftIn(told: readonly ShadowFigures[], of: keyof ShadowFigures['drift']): number | null {
  const first = addMoments(told.map(({ drift }) => drift[of].first))
  const latest = addMoments(told.map(({ drift }) => drift[of].latest))
  return driftOf({ first, latest }) ?? null
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0)
}

function ratio(part: number, whole: number): number | null {
  return whole === 0 ? null : part / whole
}

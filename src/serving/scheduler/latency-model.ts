/** What a run of so many rows took. */
export interface Observation {
  readonly rows: number
  readonly ms: number
}

/** How long a run takes by its rows: a·n + b, fitted by least squares. */
export interface LatencyModel {
  observe(rows: number, ms: number): void
  /** Milliseconds; 0 before the first run. */
  predict(rows: number): number
}

/** So few that a change of the machine's speed shows soon. */
const recentRuns = 64

/** After so many runs what was measured elsewhere has no say any more. */
const enoughRuns = 8

/**
 * @param prior from the job that measured the model, on whatever host that was: better than nothing, until runs tell
 * @param seeds from warming up. They stay in the fit, so that traffic of one size alone does not leave the slope open.
 */
export function createLatencyModel(
  seeds: readonly Observation[] = [],
  prior: readonly Observation[] = [],
): LatencyModel {
  const recent: Observation[] = []
  let oldest = 0
  let line: Line | undefined
  return {
    observe(rows, ms) {
      recent[oldest] = { rows, ms }
      oldest = (oldest + 1) % recentRuns
      line = undefined
    },
    predict(rows) {
      line ??= fit([...seeds, ...recent, ...(seeds.length + recent.length < enoughRuns ? prior : [])])
      return line.slope * rows + line.base
    },
  }
}

interface Line {
  readonly slope: number
  readonly base: number
}

function fit(points: readonly Observation[]): Line {
  if (points.length === 0) return { slope: 0, base: 0 }
  const mean = (of: (point: Observation) => number) => points.reduce((sum, point) => sum + of(point), 0) / points.length
  const [rows, ms] = [mean((point) => point.rows), mean((point) => point.ms)]
  const variance = mean((point) => (point.rows - rows) ** 2)
  const covariance = mean((point) => (point.rows - rows) * (point.ms - ms))
  // More rows never take less time, and no rows never take less than none: what says so is noise.
  const slope = variance === 0 ? 0 : Math.max(0, covariance / variance)
  const base = ms - slope * rows
  return base >= 0 ? { slope, base } : { slope: ms / rows, base: 0 }
}

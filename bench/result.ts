/** What one benchmark found: figures measured in one run, and whether each target of it holds. */
export interface BenchResult {
  readonly name: string
  /** One line on what was compared with what, and how. */
  readonly method: string
  readonly figures: readonly Figure[]
  readonly targets: readonly Target[]
  /** Targets that could not be looked at here, and why: they are neither met nor missed. */
  readonly leftOut?: readonly string[]
}

interface Figure {
  readonly name: string
  readonly value: number
  readonly unit: string
  /** 95 % interval, where the figure is an estimate over interleaved rounds. */
  readonly ci95?: readonly [low: number, high: number]
}

interface Target {
  readonly text: string
  readonly met: boolean
}

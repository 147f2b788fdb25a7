import { html, nothing, type Html } from './html-text.ts'
import type { Change } from './evidence.ts'
import type { LatencyCurves } from './view.ts'

const width = 720
const left = 90
const right = 20

type Scale = (value: number) => number

/** A logarithmic axis: ratios and latencies differ by factors. */
function logScale(low: number, high: number): Scale {
  const [from, to] = [Math.log(low), Math.log(high)]
  return (value) => left + ((Math.log(value) - from) / (to - from || 1)) * (width - left - right)
}

/** Round values of a logarithmic axis inside its ends: 1, 2 and 5 times powers of ten. */
export function logTicks(low: number, high: number): number[] {
  const first = Math.floor(Math.log10(low))
  const last = Math.ceil(Math.log10(high))
  const powers = Array.from({ length: last - first + 1 }, (_, index) => 10 ** (first + index))
  return powers.flatMap((power) => [power, 2 * power, 5 * power]).filter((tick) => tick >= low && tick <= high)
}

const at = (value: number) => value.toFixed(1)
const label = (value: number) => String(Number(value.toPrecision(3)))

/**
 * Speed-up with its interval on a line where 1 is "as fast as the original", over what the host calls a difference at
 * rest.
 */
export function drawSpeedup(speedup: Change | null, noise: { low: number; high: number } | null): Html {
  if (speedup === null || speedup.ci95 === null || speedup.value <= 0) return nothing
  const [low, high] = speedup.ci95
  const ends = [low, high, 1, noise?.low ?? 1, noise?.high ?? 1].filter((value) => value > 0)
  const x = logScale(Math.min(...ends) / 1.3, Math.max(...ends) * 1.3)
  const ticks = logTicks(Math.min(...ends) / 1.3, Math.max(...ends) * 1.3).filter((tick) => tick !== 1)
  const band =
    noise === null
      ? nothing
      : html`<rect
          class="noise"
          x="${at(x(noise.low))}"
          y="14"
          width="${at(x(noise.high) - x(noise.low))}"
          height="52"
        />`
  return html`<svg
    viewBox="0 0 ${width} 104"
    role="img"
    aria-label="Speed-up ${speedup.value.toFixed(2)}, 95 % interval ${low.toFixed(2)} to ${high.toFixed(2)}"
  >
    ${band}
    <line class="axis" x1="${left}" x2="${width - right}" y1="70" y2="70" />
    ${ticks.map((tick) => html`<text class="tick" x="${at(x(tick))}" y="88">${label(tick)}×</text>`)}
    <line class="unity" x1="${at(x(1))}" x2="${at(x(1))}" y1="10" y2="70" />
    <text class="tick" x="${at(x(1))}" y="102">as fast as the original</text>
    <line class="interval" x1="${at(x(low))}" x2="${at(x(high))}" y1="40" y2="40" />
    <circle class="estimate" cx="${at(x(speedup.value))}" cy="40" r="7" />
  </svg>`
}

const height = 260
const top = 12
const bottom = 34

/** Share of runs that took at most so long, for both models: the whole distribution, tail included. */
export function drawLatency(curves: LatencyCurves | null): Html {
  if (curves === null) return nothing
  const all = [...curves.baseline, ...curves.optimized]
  const [low, high] = [Math.min(...all) / 1.1, Math.max(...all) * 1.1]
  const x = logScale(low, high)
  const y = (share: number) => height - bottom - share * (height - top - bottom)
  const grid = [0, 0.25, 0.5, 0.75, 1]
  return html`<svg
      viewBox="0 0 ${width} ${height}"
      role="img"
      aria-label="Share of runs by latency, baseline and optimized"
    >
      ${grid.map((share) => html`<line class="grid" x1="${left}" x2="${width - right}" y1="${at(y(share))}" y2="${at(y(share))}" /><text class="side" x="${left - 10}" y="${at(y(share) + 4)}">${share * 100} %</text>`)}
      ${logTicks(low, high).map((tick) => html`<text class="tick" x="${at(x(tick))}" y="${height - 12}">${label(tick)} ms</text>`)}
      <polyline class="baseline" points="${trace(curves.baseline, x, y)}" />
      <polyline class="optimized" points="${trace(curves.optimized, x, y)}" />
    </svg>
    <p class="legend"><span class="key baseline"></span> baseline <span class="key optimized"></span> optimized</p>`
}

function trace(percentiles: readonly number[], x: Scale, y: Scale): string {
  const last = percentiles.length - 1
  return percentiles.map((value, index) => `${at(x(value))},${at(y(index / last))}`).join(' ')
}

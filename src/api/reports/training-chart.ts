import type { TrainedStep } from '../../engine/schemas.ts'
import { html, nothing, type Html } from './html-text.ts'
import { formatShare } from './training-text.ts'

const width = 720
const left = 90
/** Half of the last text stands there. */
const right = 36
const top = 12
const bottom = 34

type Scale = (value: number) => number
type Point = readonly [step: number, value: number]

interface Line {
  readonly points: readonly Point[]
  readonly className: string
}

interface Panel {
  readonly label: string
  readonly height: number
  readonly ends: readonly [number, number]
  readonly format: (value: number) => string
  readonly lines: readonly Line[]
}

const at = (value: number) => value.toFixed(1)

/** Losses over the updates, and below them the metric. */
export function drawTraining(step: TrainedStep): Html {
  const validation = pointsOf(step, ({ validation_loss: loss }) => loss)
  const training = step.losses.map(({ step: update, loss }): Point => [update, loss])
  if (training.length < 2) return nothing
  const values = [...training, ...validation].map(([, value]) => value)
  const losses = drawPanel(step, {
    label: `Loss by update, training${validation.length > 0 ? ' and validation' : ''}`,
    height: 240,
    ends: [Math.min(0, ...values), Math.max(...values)],
    format: (value) => String(Number(value.toPrecision(3))),
    lines: [
      { points: training, className: 'baseline' },
      { points: validation, className: 'optimized' },
    ],
  })
  const held =
    validation.length === 0
      ? nothing
      : html`<span class="key optimized"></span> loss on samples held back (dashed: the epoch that was kept)`
  return html`${losses}
    <p class="legend"><span class="key baseline"></span> training loss ${held}</p>
    ${drawMetric(step)}`
}

function drawMetric(step: TrainedStep): Html {
  const points = pointsOf(step, ({ metric }) => metric)
  if (points.length < 2) return nothing
  const values = points.map(([, value]) => value)
  const panel = drawPanel(step, {
    label: `${step.metric} by update`,
    height: 150,
    ends: [Math.min(...values), Math.max(...values)],
    format: formatShare,
    lines: [{ points, className: 'optimized' }],
  })
  return html`${panel}
    <p class="legend"><span class="key optimized"></span> ${step.metric ?? ''} on samples held back</p>`
}

type Epoch = TrainedStep['epochs'][number]

function pointsOf({ epochs }: TrainedStep, read: (epoch: Epoch) => number | null): Point[] {
  return thin(epochs).flatMap((epoch) => {
    const value = read(epoch)
    return value === null ? [] : [[epoch.step, value] as const]
  })
}

/** No more than a picture shows. */
function thin(epochs: readonly Epoch[]): Epoch[] {
  const stride = Math.ceil(epochs.length / 400)
  return epochs.filter((_, index) => index % stride === 0 || index === epochs.length - 1)
}

function drawPanel(step: TrainedStep, { label, height, ends, format, lines }: Panel): Html {
  const x: Scale = (update) => left + (update / Math.max(1, step.updates)) * (width - left - right)
  const [low, high] = ends
  const y: Scale = (value) => height - bottom - ((value - low) / (high - low || 1)) * (height - top - bottom)
  const ticks = linearTicks(low, high)
  return html`<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}">
    ${ticks.map((tick) => html`<line class="grid" x1="${left}" x2="${width - right}" y1="${at(y(tick))}" y2="${at(y(tick))}" /><text class="side" x="${left - 10}" y="${at(y(tick) + 4)}">${format(tick)}</text>`)}
    ${epochTicks(step).map(([update, text]) => html`<text class="tick" x="${at(x(update))}" y="${height - 12}">${text}</text>`)}
    ${drawBest(step, x, height)}
    ${lines.map(({ points, className }) => html`<polyline class="${className}" points="${points.map(([update, value]) => `${at(x(update))},${at(y(value))}`).join(' ')}" />`)}
  </svg>`
}

function drawBest({ epochs, best_epoch: best }: TrainedStep, x: Scale, height: number): Html {
  const epoch = epochs.find((each) => each.epoch === best && each.validation_loss !== null)
  if (epoch === undefined) return nothing
  return html`<line
    class="unity"
    x1="${at(x(epoch.step))}"
    x2="${at(x(epoch.step))}"
    y1="${top}"
    y2="${height - bottom}"
  />`
}

/** Ends of epochs, so many that their texts do not meet. */
function epochTicks({ epochs }: TrainedStep): [step: number, text: string][] {
  const stride = Math.ceil(epochs.length / 8)
  return epochs
    .filter((_, index) => index % stride === 0)
    .map(({ epoch, step }) => [step, epoch === 0 ? 'before' : `epoch ${epoch}`])
}

/** Three to six round values between two ends. */
export function linearTicks(low: number, high: number): number[] {
  if (!(high > low)) return [low]
  const rough = (high - low) / 4
  const power = 10 ** Math.floor(Math.log10(rough))
  const width = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((step) => step >= rough) ?? rough
  const first = Math.ceil(low / width - 1e-9)
  const last = Math.floor(high / width + 1e-9)
  return Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * width).toPrecision(12)))
}

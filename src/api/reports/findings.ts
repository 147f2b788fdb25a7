import type { ReportView } from './view.ts'

type Trial = NonNullable<ReportView['trials']>[number]
type Explanation = NonNullable<ReportView['explanation']>

const missing = '–'

/** `2.31× [2.24, 2.38]`. */
export function formatSpeedup({ speedup, ci95 }: Pick<Trial, 'speedup' | 'ci95'>): string {
  if (speedup === null) return missing
  const text = `${speedup.toFixed(2)}×`
  return ci95 === null ? text : `${text} [${ci95.map((end) => end.toFixed(2)).join(', ')}]`
}

export function formatLoss(loss: number | null): string {
  return loss === null ? missing : String(Number(loss.toPrecision(3)))
}

/** What a reader should see first of a trial. */
export function trialMarks({ chosen, pareto, passes }: Trial): string {
  const marks = [chosen ? 'the result' : '', pareto ? 'best trade' : '', passes ? '' : 'over the limit']
  return marks.filter((mark) => mark !== '').join(', ')
}

type Forecast = NonNullable<ReportView['forecast']>

/** What was expected of each step, and what came of all, in sentences. */
export function forecastSentences({ steps, measured }: Forecast): string[] {
  const times = (value: number) => `${value.toFixed(2)}×`
  const expected = steps.map(
    ({ pass, form, layers, unknown, float_us: before, form_us: after, speedup }) =>
      `${pass}: ${times(speedup.estimate)} was expected (${times(speedup.low)} to ${times(speedup.high)}), for ${layers} ` +
      `layers of ${before.toFixed(0)} µs in float take ${after.toFixed(0)} µs as ${form}` +
      `${unknown === 0 ? '' : `; ${unknown} layers were not measured`}.`,
  )
  return [...expected, `Measured of the whole recipe: ${formatSpeedup(measured)}.`]
}

const causeTexts = {
  slower: 'their quantized kernel is slower on this host',
  excluded: 'the options exclude them',
  sensitive: 'they cost too much quality',
  not_constant: 'their weights are not constant',
  unsupported: 'there is no kernel or form for them',
} as const

/** How many nodes were changed, and how many were left for each cause. */
export function listCauses({ nodes }: Explanation): string[] {
  const changed = nodes.filter(({ outcome }) => outcome === 'changed').length
  const left = Object.entries(causeTexts).flatMap(([cause, text]) => {
    const count = nodes.filter((node) => node.cause === cause).length
    return count === 0 ? [] : [`Nodes left because ${text}: ${count}.`]
  })
  return nodes.length === 0 ? [] : [`Nodes changed by quantizing steps: ${changed}.`, ...left]
}

/** What ONNX Runtime makes of the result, in sentences. */
export function runtimeSentences({ runtime }: Explanation): string[] {
  if (runtime === null) return []
  const { before, after, gained, lost } = runtime
  const list = (kernels: Readonly<Record<string, number>>) =>
    Object.entries(kernels)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ')
  return [
    `As ONNX Runtime runs it here: ${after.nodes} nodes (the original ${before.nodes}), ${after.integer} in integers, ` +
      `${after.float_layers} convolutions and products in float, ${after.conversions} conversions between.`,
    ...(Object.keys(gained).length === 0 ? [] : [`Fused kernels gained: ${list(gained)}.`]),
    ...(Object.keys(lost).length === 0 ? [] : [`Fused kernels lost: ${list(lost)}.`]),
  ]
}

import type { PassOptions } from '../pass.ts'
import type { Factors, Method } from './factors.ts'

/** Microseconds of a layer whole, and in each of its forms. */
export interface LayerTimes {
  readonly whole: number
  readonly forms: readonly number[]
}

interface Choice {
  readonly factors: Factors
  readonly isFaster: boolean
  readonly reason: string
}

type Options = Pick<PassOptions<'factorize'>, 'by' | 'minSaving'>

/** The best of the forms of a layer, and whether that is worth it. */
export function chooseForm(forms: readonly Factors[], times: LayerTimes | undefined, options: Options): Choice {
  const judged = forms.map((factors, index) =>
    judge(factors, times && { ...times, parts: times.forms[index] ?? 0 }, options),
  )
  const worthwhile = judged.filter(({ isFaster }) => isFaster)
  const cost = ({ factors, time }: Judged) => time ?? factors.work
  // By ratio the work is given: then what is nearest to the whole is best.
  const rank = (each: Judged) => (options.by === 'ratio' ? -each.factors.kept : cost(each))
  return (worthwhile.length > 0 ? worthwhile : judged).reduce((best, each) => (rank(each) < rank(best) ? each : best))
}

interface Judged extends Choice {
  readonly time: number | undefined
}

const names: Readonly<Record<Method, string>> = { svd: 'rank', tucker: 'Tucker rank', cp: 'CP rank' }

function judge(
  factors: Factors,
  times: { readonly whole: number; readonly parts: number } | undefined,
  { minSaving }: Options,
): Judged {
  const { method, ranks, work, kept } = factors
  const share = `${(work * 100).toFixed(0)} % of its multiply-accumulates, ${(kept * 100).toFixed(1)} % of its squares`
  const rank = `${names[method]} ${ranks.join(' and ')}: ${share}`
  const time = times?.parts
  if (1 - work < minSaving) return { factors, time, isFaster: false, reason: `${rank}, which saves too little` }
  if (times === undefined) return { factors, time, isFaster: true, reason: `${rank}; its time is not measured` }
  const measured = `${times.parts.toFixed(1)} µs instead of ${times.whole.toFixed(1)} µs on this host`
  return { factors, time, isFaster: times.parts <= (1 - minSaving) * times.whole, reason: `${rank}, ${measured}` }
}

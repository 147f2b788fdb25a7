import type { ScheduleOptions } from './options.ts'

type Rule<K extends ScheduleOptions['kind']> = (
  options: Extract<ScheduleOptions, { kind: K }>,
  /** Updates since the warm-up ended, from 0. */
  update: number,
  /** Updates after the warm-up. */
  total: number,
) => number

/** Share of the base rate at an update, after the warm-up. */
const rules: { readonly [K in ScheduleOptions['kind']]: Rule<K> } = {
  constant: () => 1,
  step: ({ every, factor = 0.1 }, update) => factor ** Math.floor(update / every),
  // Loshchilov and Hutter, SGDR (2017), one period.
  cosine: ({ floor = 0 }, update, total) => floor + ((1 - floor) * (1 + Math.cos((Math.PI * update) / total))) / 2,
}

/**
 * The learning rate of an update.
 * @param update from 0
 * @param total updates of the whole training
 */
export function rateAt(options: ScheduleOptions, rate: number, update: number, total: number): number {
  const { warmup = 0 } = options
  if (update < warmup) return (rate * (update + 1)) / (warmup + 1)
  const rule = rules[options.kind] as Rule<ScheduleOptions['kind']>
  return rate * rule(options, update - warmup, Math.max(1, total - warmup))
}

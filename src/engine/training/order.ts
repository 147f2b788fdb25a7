import { createRandom, sampleInteger, type Random } from '../data/random.ts'

/** The samples of one epoch in the order they are trained on: the same for the same seed and epoch. */
export function epochOrder(samples: Uint32Array, seed: number, epoch: number): Uint32Array {
  return shuffle(samples.slice(), createRandom(Math.imul(seed, 0x85_eb_ca_6b) ^ Math.imul(epoch + 1, 0x9e_37_79_b1)))
}

export interface Split {
  readonly training: Uint32Array
  readonly validation: Uint32Array
}

/** Parts samples at random into training and validation; both in ascending order. `share` of 0 gives no validation. */
export function splitSamples(count: number, share: number, seed: number): Split {
  const all = Uint32Array.from({ length: count }, (_, index) => index)
  const held = share === 0 ? 0 : Math.max(1, Math.round(count * share))
  const order = shuffle(all, createRandom(~seed))
  return { training: order.slice(held).sort(), validation: order.slice(0, held).sort() }
}

/** Fisher and Yates, in place. */
function shuffle(values: Uint32Array, random: Random): Uint32Array {
  for (let last = values.length - 1; last > 0; last -= 1) {
    const other = sampleInteger(random, last + 1)
    const kept = values[last] as number
    values[last] = values[other] as number
    values[other] = kept
  }
  return values
}

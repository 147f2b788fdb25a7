/** A source of numbers in [0, 1). */
export type Random = () => number

/**
 * The sfc32 generator (Chris Doty-Humphrey, PractRand), seeded through splitmix32. Not for secrets; the same numbers
 * on every machine, which is the point.
 */
export function createRandom(seed: number): Random {
  const next = splitMix(seed)
  let [a, b, c, counter] = [next(), next(), next(), 1]
  const step = () => {
    const sum = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + sum
    return (sum >>> 0) / 2 ** 32
  }
  for (let round = 0; round < 12; round += 1) step()
  return step
}

/** A normally distributed number, mean 0 and deviation 1 (Box and Muller, 1958). */
export function sampleNormal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}

/** An integer in [0, `bound`). */
export function sampleInteger(random: Random, bound: number): number {
  return Math.floor(random() * bound)
}

function splitMix(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x9e_37_79_b9) | 0
    let mixed = state ^ (state >>> 16)
    mixed = Math.imul(mixed, 0x21_f0_aa_ad)
    mixed ^= mixed >>> 15
    mixed = Math.imul(mixed, 0x73_5a_2d_97)
    return mixed ^ (mixed >>> 15)
  }
}

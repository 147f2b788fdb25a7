import { createHash } from 'node:crypto'

export interface WeightedVersion {
  readonly version: number
  readonly weight: number
}

const hashBytes = 6
const hashRange = 2 ** (8 * hashBytes)

/** A number from 0 to below 1 that is always the same for a key, and even over keys. */
export function pointOf(deployment: string, key: string): number {
  const digest = createHash('sha256').update(`${deployment}\0${key}`).digest()
  return digest.readUIntBE(0, hashBytes) / hashRange
}

/**
 * The version whose part of the weights `point` falls into; undefined when all weights are 0. Parts lie in the order
 * of the list, so that a first part which grows keeps the keys it had.
 */
export function pickVersion(weighted: readonly WeightedVersion[], point: number): number | undefined {
  const total = weighted.reduce((sum, { weight }) => sum + weight, 0)
  let from = 0
  for (const { version, weight } of weighted) {
    from += weight
    if (weight > 0 && point * total < from) return version
  }
  // The sum may round below the last point.
  return total === 0 ? undefined : weighted.findLast(({ weight }) => weight > 0)?.version
}

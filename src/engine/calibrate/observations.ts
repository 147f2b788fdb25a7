import { gunzip, gzip } from 'node:zlib'
import { promisify } from 'node:util'
import type { Range } from './affine.ts'
import { createHistogram, type Histogram } from './histogram.ts'

/** What values took in calibration, before a range is chosen for a type: that can be done again without a run. */
export interface Observations {
  /** The extremes, or their moving average. */
  readonly ranges: ReadonlyMap<string, Range>
  /** Why a value can't have a range. */
  readonly refused: ReadonlyMap<string, string>
  /** Empty where the method needs only extremes. */
  readonly histograms: ReadonlyMap<string, Histogram>
  readonly samples: number
}

/** Where observations are kept, for other schemes, other steps and other jobs. */
export interface ObservationStore {
  find(key: string): Promise<Observations | undefined>
  put(key: string, observations: Observations): Promise<void>
}

/** Keeps observations in memory. */
export function createObservationStore(): ObservationStore {
  const known = new Map<string, Observations>()
  return {
    find: (key) => Promise.resolve(known.get(key)),
    put: (key, observations) => {
      known.set(key, observations)
      return Promise.resolve()
    },
  }
}

interface Written {
  readonly samples: number
  readonly ranges: readonly (readonly [string, Range])[]
  readonly refused: readonly (readonly [string, string])[]
  /** Name, threshold, first bin with a count, and the counts from there to the last as little-endian float64 in base64. */
  readonly histograms: readonly (readonly [string, number, number, string])[]
}

const [compress, expand] = [promisify(gzip), promisify(gunzip)]

export async function encodeObservations(observations: Observations): Promise<Uint8Array> {
  const { samples, ranges, refused, histograms } = observations
  const written: Written = {
    samples,
    ranges: [...ranges],
    refused: [...refused],
    histograms: [...histograms].map(([name, { threshold, counts }]) => {
      const first = Math.max(
        0,
        counts.findIndex((count) => count > 0),
      )
      const used = counts.subarray(first, counts.findLastIndex((count) => count > 0) + 1)
      const bytes = Buffer.from(used.buffer, used.byteOffset, used.byteLength)
      return [name, threshold, first, bytes.toString('base64')]
    }),
  }
  return compress(JSON.stringify(written))
}

export async function decodeObservations(bytes: Uint8Array): Promise<Observations> {
  const { samples, ranges, refused, histograms } = JSON.parse(String(await expand(bytes))) as Written
  const counted = histograms.map(([name, threshold, first, text]) => {
    const histogram = createHistogram(threshold)
    const counts = Uint8Array.from(Buffer.from(text, 'base64'))
    histogram.counts.set(new Float64Array(counts.buffer), first)
    return [name, histogram] as const
  })
  return { samples, ranges: new Map(ranges), refused: new Map(refused), histograms: new Map(counted) }
}

/** Counts of values in bins of equal width over −threshold … threshold; zero is the edge between the two middle bins. */
export interface Histogram {
  threshold: number
  readonly counts: Float64Array
}

/** With a threshold of up to twice the largest value, still 4,096 bins over the values themselves. */
const binCount = 8192

export function createHistogram(threshold: number): Histogram {
  return { threshold, counts: new Float64Array(binCount) }
}

/**
 * Makes room for larger values by doubling the threshold as often as needed: two bins become one, so that every count
 * stays in a bin that holds its value. The threshold ends up at less than twice the largest value.
 */
export function growHistogram(histogram: Histogram, largest: number): void {
  const { threshold, counts } = histogram
  if (largest <= threshold) return
  if (threshold === 0) {
    // Only zeros so far, and zero has the same bin at any threshold.
    histogram.threshold = largest
    return
  }
  const half = binCount / 2
  const merged = 2 ** Math.ceil(Math.log2(largest / threshold))
  histogram.threshold = threshold * merged
  const before = counts.slice()
  counts.fill(0)
  for (let bin = 0; bin < binCount; bin += 1) {
    const into = half + Math.floor((bin - half) / merged)
    counts[into] = (counts[into] as number) + (before[bin] as number)
  }
}

/** Below this many values, clearing the lanes costs more than they save. */
const laneMinimum = 2 ** 14

/** Room for one bin past the last, where the threshold itself falls; lanes start on lines of the cache. */
const laneLength = binCount + 64

/** Memory to count in, which one caller uses again and again. */
export type Lanes = Uint32Array

export function createLanes(): Lanes {
  return new Uint32Array(4 * laneLength)
}

/**
 * Counts values, all of which lie within the threshold.
 * @returns whether all are numbers; a NaN is counted in the first bin, so that only values there need a second look
 */
export function addValues({ threshold, counts }: Histogram, values: Float32Array, lanes: Lanes): boolean {
  // Everything is zero: the middle bin, without a division by zero.
  const perUnit = threshold > 0 ? binCount / 2 / threshold : 0
  const lowest = counts[0] as number
  if (values.length >= laneMinimum) addInLanes(counts, values, perUnit, lanes)
  else addInTurn(counts, values, perUnit)
  return counts[0] === lowest || !values.some(Number.isNaN)
}

function addInTurn(counts: Float64Array, values: Float32Array, perUnit: number): void {
  for (const value of values) {
    const bin = Math.min(counts.length - 1, toBin(value, perUnit))
    counts[bin] = (counts[bin] as number) + 1
  }
}

/** Truncating to 32 bits is one instruction; to a whole float64, and that to an index, are several. */
function toBin(value: number, perUnit: number): number {
  return (value * perUnit + binCount / 2) | 0
}

/**
 * Four counters for each bin, taken in turn: after a ReLU most values are in one bin, and waiting for its last
 * addition would take most of the time.
 */
function addInLanes(counts: Float64Array, values: Float32Array, perUnit: number, lanes: Lanes): void {
  lanes.fill(0)
  const whole = values.length - (values.length % 4)
  const half = binCount / 2
  // Written out: called functions are not always inlined before a short calibration is over.
  for (let index = 0; index < whole; index += 4) {
    const first = ((values[index] as number) * perUnit + half) | 0
    const second = (((values[index + 1] as number) * perUnit + half) | 0) + laneLength
    const third = (((values[index + 2] as number) * perUnit + half) | 0) + 2 * laneLength
    const fourth = (((values[index + 3] as number) * perUnit + half) | 0) + 3 * laneLength
    lanes[first] = (lanes[first] as number) + 1
    lanes[second] = (lanes[second] as number) + 1
    lanes[third] = (lanes[third] as number) + 1
    lanes[fourth] = (lanes[fourth] as number) + 1
  }
  for (let index = whole; index < values.length; index += 1) {
    const bin = toBin(values[index] as number, perUnit)
    lanes[bin] = (lanes[bin] as number) + 1
  }
  for (let bin = 0; bin < binCount; bin += 1) counts[bin] = (counts[bin] as number) + countOf(lanes, bin)
  counts[binCount - 1] = (counts[binCount - 1] as number) + countOf(lanes, binCount)
}

function countOf(lanes: Lanes, bin: number): number {
  const early = (lanes[bin] as number) + (lanes[bin + laneLength] as number)
  return early + (lanes[bin + 2 * laneLength] as number) + (lanes[bin + 3 * laneLength] as number)
}

/** The histogram with neighbouring bins added up. */
export function coarsen({ threshold, counts }: Histogram, factor: number): Histogram {
  const coarse = new Float64Array(counts.length / factor)
  for (let bin = 0; bin < counts.length; bin += 1) {
    const into = Math.floor(bin / factor)
    coarse[into] = (coarse[into] as number) + (counts[bin] as number)
  }
  return { threshold, counts: coarse }
}

/** Sums of the first 0, 1, … all counts. */
export function prefixSums(counts: ArrayLike<number>): Float64Array {
  const sums = new Float64Array(counts.length + 1)
  for (let bin = 0; bin < counts.length; bin += 1) sums[bin + 1] = (sums[bin] as number) + (counts[bin] as number)
  return sums
}

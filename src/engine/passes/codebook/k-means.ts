import type { Random } from '../../data/random.ts'

/** Values with how often each occurs, ascending. */
interface Points {
  readonly values: Float64Array
  readonly weights: Float64Array
}

const maxPoints = 2048
const maxRounds = 50

/**
 * The `count` centers that make Σ(x − nearest center)² small: k-means++ (Arthur and Vassilvitskii, 2007) for the first
 * ones, then Lloyd's rounds, on a histogram where there are many values. Ascending; fewer when fewer values differ.
 */
export function findCenters(values: Float32Array, count: number, random: Random): Float32Array {
  const points = pointsOf(values)
  if (points.values.length <= count) return Float32Array.from(points.values)
  let centers = seedCenters(points, count, random)
  for (let round = 0; round < maxRounds; round += 1) {
    const moved = moveCenters(points, centers)
    if (moved.every((center, index) => center === centers[index])) break
    centers = moved
  }
  return Float32Array.from(centers)
}

/** Each distinct value, or the means of equally wide bins when there are more than fit. */
function pointsOf(values: Float32Array): Points {
  const sorted = values.toSorted()
  const distinct = sorted.filter((value, index) => index === 0 || value !== sorted[index - 1])
  const [low = 0, high = 0] = [sorted[0], sorted.at(-1)]
  const isExact = distinct.length <= maxPoints
  const bins = new Map<number, { sum: number; count: number }>()
  for (const value of sorted) {
    const bin = isExact ? value : Math.min(maxPoints - 1, Math.floor(((value - low) / (high - low)) * maxPoints))
    const found = bins.get(bin) ?? { sum: 0, count: 0 }
    found.sum += value
    found.count += 1
    bins.set(bin, found)
  }
  const all = [...bins.values()]
  return {
    values: Float64Array.from(all, ({ sum, count }) => sum / count),
    weights: Float64Array.from(all, ({ count }) => count),
  }
}

/** Each next center is drawn with a chance that grows with the square of the distance to those there are. */
function seedCenters({ values, weights }: Points, count: number, random: Random): number[] {
  const centers = [drawFrom(weights, random)]
  const distances = new Float64Array(values.length).fill(Number.POSITIVE_INFINITY)
  while (centers.length < count) {
    const newest = values[centers.at(-1) ?? 0] ?? 0
    values.forEach((value, index) => {
      distances[index] = Math.min(distances[index] as number, (value - newest) ** 2)
    })
    centers.push(
      drawFrom(
        distances.map((distance, index) => distance * (weights[index] as number)),
        random,
      ),
    )
  }
  return centers.map((index) => values[index] as number).toSorted((a, b) => a - b)
}

function drawFrom(weights: Float64Array, random: Random): number {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  let rest = random() * total
  for (const [index, weight] of weights.entries()) {
    rest -= weight
    if (rest < 0 && weight > 0) return index
  }
  return weights.findLastIndex((weight) => weight > 0)
}

/** Moves each center to the mean of the points nearest to it. In one dimension both are sorted, so one sweep does. */
function moveCenters({ values, weights }: Points, centers: readonly number[]): number[] {
  const sums = new Float64Array(centers.length)
  const counts = new Float64Array(centers.length)
  let nearest = 0
  for (const [index, value] of values.entries()) {
    const isCloser = () => value - (centers[nearest] as number) > (centers[nearest + 1] as number) - value
    while (nearest + 1 < centers.length && isCloser()) nearest += 1
    sums[nearest] = (sums[nearest] as number) + value * (weights[index] as number)
    counts[nearest] = (counts[nearest] as number) + (weights[index] as number)
  }
  return centers.map((center, index) =>
    (counts[index] as number) > 0 ? (sums[index] as number) / (counts[index] as number) : center,
  )
}

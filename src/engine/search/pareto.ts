/** What a variant achieves; undefined where it was not measured. */
interface Point {
  readonly speedup: number | undefined
  readonly loss: number | undefined
}

/** For each point whether it is measured and no other one is at least as fast with as little loss, and better in one. */
export function findFront(points: readonly Point[]): boolean[] {
  return points.map(
    (point) => isMeasured(point) && !points.some((other) => isMeasured(other) && dominates(other, point)),
  )
}

type Measured = { readonly [K in keyof Point]: number }

function isMeasured({ speedup, loss }: Point): boolean {
  return speedup !== undefined && loss !== undefined
}

function dominates(other: Point, point: Point): boolean {
  const [a, b] = [other as Measured, point as Measured]
  return a.speedup >= b.speedup && a.loss <= b.loss && (a.speedup > b.speedup || a.loss < b.loss)
}

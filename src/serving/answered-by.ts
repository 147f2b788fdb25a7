import type { LaneResult } from './scheduler/lane.ts'
import type { ServedVersion } from './served-version.ts'

/** The version that an answer bears; `by` when several took part: a list of structured fields, `1;rows=3, 2;rows=1`. */
export interface AnsweredBy {
  readonly name: string
  readonly version: string
  readonly by: string | undefined
}

export function answeredBy({ name, version }: ServedVersion, result: LaneResult): AnsweredBy {
  const by = result.parts?.map((part) => `${part.version};rows=${part.answered}`).join(', ')
  return { name, version: result.version ?? version, by }
}

import type { LaneResult } from '../scheduler/lane.ts'
import type { AnswerPart } from '../scheduler/request.ts'
import type { ServedVersion } from '../served-version.ts'
import type { RequestTimes, VersionStatistics } from '../statistics.ts'

type RequestRun = Parameters<VersionStatistics['recordSuccess']>[1]

export type { AnswerPart } from '../scheduler/request.ts'

export function partOf({ version }: ServedVersion, result: LaneResult, answered: number): AnswerPart {
  const { queueMs, runMs, rows, batchSize, executions } = result
  return { version, answered, queueMs, runMs, rows, batchSize, executions }
}

/** What parts that ran one after the other took. */
export function totalOf(parts: readonly AnswerPart[]): { queueMs: number; runMs: number } {
  const sum = (of: (part: AnswerPart) => number) => parts.reduce((total, part) => total + of(part), 0)
  return { queueMs: sum(({ queueMs }) => queueMs), runMs: sum(({ runMs }) => runMs) }
}

/**
 * Counts for each version what it ran of an answer; decoding, encoding and what fails are those of `first`.
 * @param loaded every version that may have a part
 */
export function partStatistics(
  first: ServedVersion,
  loaded: ReadonlyMap<number, ServedVersion>,
): ServedVersion['statistics'] {
  return {
    ...first.statistics,
    recordSuccess(times: RequestTimes, run: RequestRun & Pick<LaneResult, 'parts'>) {
      if (run.parts === undefined) return first.statistics.recordSuccess(times, run)
      for (const part of run.parts) {
        const { inputMs, outputMs } = part.version === first.version ? times : { inputMs: 0, outputMs: 0 }
        const partTimes = { queueMs: part.queueMs, inferMs: part.runMs, inputMs, outputMs }
        loaded.get(Number(part.version))?.statistics.recordSuccess(partTimes, part)
      }
    },
  }
}

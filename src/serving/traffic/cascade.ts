import { HastenError } from '../../errors.ts'
import { confidencesOf, isFloat, type ScoreScale, type Tensor } from '../../engine/serving.ts'
import type { Lane, LaneRequest, LaneResult } from '../scheduler/lane.ts'
import type { ServedVersion } from '../served-version.ts'
import { partOf, totalOf, type AnswerPart } from './parts.ts'
import { pickRows, replaceRows, rowCountOf } from './rows.ts'

export interface CascadeOptions {
  /** Output of the small version that says how sure it is. */
  readonly output: string
  /** Rows below this confidence go on to the large version. */
  readonly threshold: number
  readonly scale: ScoreScale
  /** Told of each answer. */
  readonly onAnswer: (counts: CascadeCounts) => void
}

/** Rows of an answer, and those of them that the large version gave. */
export interface CascadeCounts {
  readonly rows: number
  readonly forwarded: number
}

/**
 * Answers with the small version, and what that is not sure of with the large one: those rows alone when it was proved
 * at load that its rows don't depend on each other, else the whole request. A request has one deadline, one priority
 * and one signal on both ways.
 */
export function createCascade(small: ServedVersion, large: ServedVersion, options: CascadeOptions): Lane {
  return {
    ...small.lane,
    submit: async (request) => {
      const result = await answer(small, large, options, request)
      options.onAnswer(countsOf(result.parts ?? [], large))
      return result
    },
  }
}

function countsOf(parts: readonly AnswerPart[], large: ServedVersion): CascadeCounts {
  const rowsOf = (chosen: readonly AnswerPart[]) => chosen.reduce((sum, { answered }) => sum + answered, 0)
  return { rows: rowsOf(parts), forwarded: rowsOf(parts.filter(({ version }) => version === large.version)) }
}

async function answer(
  small: ServedVersion,
  large: ServedVersion,
  options: CascadeOptions,
  request: LaneRequest,
): Promise<LaneResult> {
  const first = await small.lane.submit({ ...request, outputs: withOutput(request.outputs, options.output) })
  const unsure = await releasedOnError(first, () => unsureRows(first, options))
  if (unsure.rows.length === 0) return answered(first, [partOf(small, first, unsure.total)])
  try {
    return isSplittable(large, request, first, unsure)
      ? await mixed(small, large, request, first, unsure)
      : await whole(small, large, request, first, unsure.total)
  } catch (error) {
    // A version that is being replaced takes no more: the small one's answer stands, and says whose it is.
    if (isReplaced(error)) return answered(first, [partOf(small, first, unsure.total)])
    first.release()
    throw error
  }
}

interface Unsure {
  /** Rows that the scores have; 1 for scores without an axis of rows. */
  readonly total: number
  /** Those below the threshold. */
  readonly rows: readonly number[]
}

function withOutput(outputs: LaneRequest['outputs'], output: string): LaneRequest['outputs'] {
  return outputs === undefined || outputs.includes(output) ? outputs : [...outputs, output]
}

async function releasedOnError<T>(result: LaneResult, work: () => T): Promise<T> {
  try {
    return work()
  } catch (error) {
    result.release()
    throw error
  }
}

function unsureRows({ outputs }: LaneResult, { output, scale, threshold }: CascadeOptions): Unsure {
  const scores = scoresOf(outputs[output], output)
  const total = scores.dims.length > 1 ? (scores.dims[0] ?? 0) : 1
  const confidences = confidencesOf(scores, total, scale)
  return { total, rows: [...confidences.keys()].filter((row) => (confidences[row] ?? 0) < threshold) }
}

function scoresOf(tensor: Tensor | undefined, output: string) {
  if (tensor !== undefined && isFloat(tensor)) return tensor
  throw new HastenError('run_failed', `the cascade's output '${output}' is ${tensor?.dtype ?? 'missing'}, not floats`)
}

/** Some rows of several, and the large version's are known not to depend on each other. */
function isSplittable(large: ServedVersion, request: LaneRequest, first: LaneResult, unsure: Unsure): boolean {
  if (large.batching === undefined || unsure.rows.length === unsure.total) return false
  return rowCountOf(request.feeds) === unsure.total && rowCountOf(first.outputs) === unsure.total
}

async function mixed(
  small: ServedVersion,
  large: ServedVersion,
  request: LaneRequest,
  first: LaneResult,
  { rows, total }: Unsure,
): Promise<LaneResult> {
  const feeds = pickRows(request.feeds, rows)
  const outputs = Object.keys(first.outputs)
  const second = await large.lane.submit({ ...request, feeds, outputs })
  const joined = await releasedOnError(second, () => replaceRows(first.outputs, second.outputs, rows))
  second.release()
  // Dims that follow from the data, so that rows of two runs don't fit together.
  if (joined === undefined) return whole(small, large, request, first, total)
  first.release()
  const parts = [partOf(small, first, total - rows.length), partOf(large, second, rows.length)]
  return answered({ ...first, outputs: joined, release: () => {} }, parts)
}

async function whole(
  small: ServedVersion,
  large: ServedVersion,
  request: LaneRequest,
  first: LaneResult,
  total: number,
): Promise<LaneResult> {
  const second = await large.lane.submit(request)
  first.release()
  return answered({ ...second, rows: first.rows }, [partOf(small, first, 0), partOf(large, second, total)])
}

function isReplaced(error: unknown): boolean {
  return error instanceof HastenError && error.code === 'deployment_not_ready'
}

/** A result by these parts, one after the other; it bears the version that answered most rows. */
function answered(result: LaneResult, parts: readonly AnswerPart[]): LaneResult {
  const most = parts.reduce((best, part) => (part.answered > best.answered ? part : best))
  return { ...result, ...totalOf(parts), version: most.version, parts }
}

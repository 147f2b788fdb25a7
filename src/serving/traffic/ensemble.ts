import { HastenError } from '../../errors.ts'
import type { Lane, LaneRequest, LaneResult } from '../scheduler/lane.ts'
import type { ServedVersion } from '../served-version.ts'
import { combine, type Combination } from './combine.ts'
import { partOf } from './parts.ts'

export interface Member {
  readonly served: ServedVersion
  readonly weight: number
}

export interface EnsembleOptions extends Combination {
  /** So many must answer; the answer is then made of those that did. */
  readonly minMembers: number
}

/**
 * All members answer at once, and their outputs become one. The request's memory is theirs until the last has let go
 * of it, so nothing is answered before.
 */
export function createEnsemble(members: readonly [Member, ...Member[]], options: EnsembleOptions): Lane {
  const [first] = members
  return {
    ...first.served.lane,
    submit: (request) => answer(members, options, request),
    overload: () => overloadOf(members, options),
  }
}

/** Of the member without which too few would answer. */
function overloadOf(members: readonly Member[], { minMembers }: EnsembleOptions): HastenError | undefined {
  const errors = members.flatMap(({ served }) => served.lane.overload() ?? [])
  return members.length - errors.length < minMembers ? errors[0] : undefined
}

interface Answer extends Member {
  readonly result: LaneResult
}

async function answer(members: readonly Member[], options: EnsembleOptions, request: LaneRequest): Promise<LaneResult> {
  const { answers, reason } = await askAll(members, options, request)
  try {
    if (reason !== undefined) throw reason
    return join(answers, options)
  } finally {
    for (const { result } of answers) result.release()
  }
}

interface Asked {
  readonly answers: readonly Answer[]
  /** Why the request fails; undefined when enough have answered. */
  readonly reason: unknown
}

/** Once too many have failed the others are ended: nobody needs their answers. */
async function askAll(
  members: readonly Member[],
  { minMembers }: EnsembleOptions,
  request: LaneRequest,
): Promise<Asked> {
  const others = new AbortController()
  const signal = AbortSignal.any([request.signal, others.signal])
  const failures: unknown[] = []
  const ask = async (member: Member): Promise<Answer[]> => {
    try {
      return [{ ...member, result: await member.served.lane.submit({ ...request, signal }) }]
    } catch (error) {
      failures.push(error)
      if (members.length - failures.length < minMembers) others.abort()
      return []
    }
  }
  const answers = (await Promise.all(members.map(ask))).flat()
  return { answers, reason: answers.length < minMembers ? failures[0] : undefined }
}

function join(answers: readonly Answer[], options: EnsembleOptions): LaneResult {
  const startedAt = performance.now()
  const [first] = answers
  if (first === undefined) throw new HastenError('internal', 'an ensemble without an answer')
  const isWeightless = answers.every(({ weight }) => weight === 0)
  const opinions = answers.map(({ result, weight }) => ({ outputs: result.outputs, weight: isWeightless ? 1 : weight }))
  const outputs = combine(opinions, options)
  const slowest = answers.map(({ result }) => result).reduce((a, b) => (timeOf(b) > timeOf(a) ? b : a))
  return {
    ...first.result,
    queueMs: slowest.queueMs,
    runMs: slowest.runMs + performance.now() - startedAt,
    outputs,
    release: () => {},
    version: first.served.version,
    parts: answers.map(({ served, result }) => partOf(served, result, result.rows)),
  }
}

const timeOf = ({ queueMs, runMs }: LaneResult) => queueMs + runMs

import { HastenError, messageOf } from '../../../errors.ts'
import type { Model } from '../../ir/model.ts'
import type { Tensor } from '../../ir/tensor.ts'
import type { SessionOptions } from '../../runtime/options.ts'
import type { Feeds, Session } from '../../runtime/port.ts'
import { compareTensors, largestDifference, type Difference } from '../compare-tensors.ts'
import type { PassContext } from '../pass.ts'
import { plainSession, withSession, type RunContext } from '../run-model.ts'
import { sampleFeeds, type SampleSource } from '../sample-feeds.ts'
import { branchNames, forceBranches } from './force-branches.ts'

const relativeTolerance = 1e-5

/**
 * Outputs can be tiny where a sigmoid saturates, and then rounding alone is a large part of them. The runtime's own
 * lossless optimizations show how much rounding moves this model's outputs; a rewrite may move them a few times that.
 */
const noiseFactor = 4

type ProofContext = RunContext & SampleSource & Pick<PassContext, 'log'>

type Outputs = Readonly<Record<string, Tensor>>

/** The original's answers, to hold rewritten models against. */
export interface Proof {
  /** How many sets of inputs a model is tried on. */
  readonly sets: number
  /** The first output that is not the same, or undefined. */
  findDifference(model: Model): Promise<Difference | undefined>
}

export interface Unproven {
  readonly reason: string
}

/** Runs the original on sample inputs. Gives a reason when it can't be run on them, or answers differently each time. */
export async function prepareProof(context: ProofContext, original: Model): Promise<Proof | Unproven> {
  try {
    return await recordAnswers(context, original)
  } catch (error) {
    if (context.signal.aborted || !(error instanceof HastenError)) throw error
    return { reason: `the original can't be run on sample inputs: ${messageOf(error)}` }
  }
}

async function recordAnswers(context: ProofContext, original: Model): Promise<Proof | Unproven> {
  const { feeds, answers, again } = await withSession(context, original, plainSession, async (session) => {
    const feeds = await sampleFeeds(session.inputs, context)
    const answers = await runAll(session, feeds, context)
    return { feeds, answers, again: await runAll(session, feeds.slice(0, 1), context) }
  })
  const unsteady = findDifference(answers.slice(0, 1), again, [])
  if (unsteady !== undefined) return { reason: `the original answers differently each time: ${unsteady.detail}` }
  const free = { variant: (model: Model) => model, answers, noise: await noiseOf(context, original, feeds, answers) }
  const forced = forceShared(context, original, feeds)
  return {
    sets: feeds.length,
    async findDifference(model) {
      for (const { variant, answers: expected, noise } of [free, ...(await forced(model))]) {
        const found = await answersOf(context, variant(model), feeds, plainSession)
        const difference = findDifference(expected, found, noise)
        if (difference !== undefined) return difference
      }
      return undefined
    },
  }
}

interface Trial {
  readonly variant: (model: Model) => Model
  readonly answers: readonly Outputs[]
  readonly noise: Noise
}

/**
 * Samples take one branch of an If. So that the other is proven too, both are also run whatever the condition says: of
 * those that both models have, since one that is always decided alike is no choice any more.
 */
function forceShared(context: ProofContext, original: Model, feeds: readonly Feeds[]) {
  const known = new Map<string, Trial[]>()
  return async (model: Model): Promise<readonly Trial[]> => {
    const kept = branchNames(model)
    const names = new Set([...branchNames(original)].filter((name) => kept.has(name)))
    if (names.size === 0) return []
    const key = [...names].join('\n')
    const trials = known.get(key) ?? (await forcedTrials(context, original, names, feeds))
    known.set(key, trials)
    return trials
  }
}

async function forcedTrials(
  context: ProofContext,
  original: Model,
  names: ReadonlySet<string>,
  feeds: readonly Feeds[],
): Promise<Trial[]> {
  const trials: Trial[] = []
  for (const branch of [true, false]) {
    const variant = (model: Model) => forceBranches(model, branch, names)
    const answers = await answersIfAny(context, variant(original), feeds)
    if (answers === undefined) continue
    trials.push({ variant, answers, noise: await noiseOf(context, variant(original), feeds, answers) })
  }
  return trials
}

/** Answers, or undefined for a branch that can't run on these inputs. */
async function answersIfAny(context: ProofContext, model: Model, feeds: readonly Feeds[]) {
  try {
    return await answersOf(context, model, feeds, plainSession)
  } catch (error) {
    if (context.signal.aborted || !(error instanceof HastenError)) throw error
    context.log(`a branch was not proven, since it can't run on the sample inputs: ${error.message}`)
    return undefined
  }
}

async function noiseOf(
  context: ProofContext,
  model: Model,
  feeds: readonly Feeds[],
  answers: readonly Outputs[],
): Promise<Noise> {
  return measureNoise(answers, await answersOf(context, model, feeds, { optimizationLevel: 'all' }))
}

function answersOf(
  context: RunContext,
  model: Model,
  feeds: readonly Feeds[],
  session: SessionOptions,
): Promise<Outputs[]> {
  return withSession(context, model, session, (opened) => runAll(opened, feeds, context))
}

async function runAll(session: Session, feeds: readonly Feeds[], { signal }: RunContext): Promise<Outputs[]> {
  const outputs: Outputs[] = []
  for (const each of feeds) outputs.push(await session.run(each, { signal }))
  return outputs
}

/** Per set and output: how far the runtime's optimizations move it. */
type Noise = readonly ReadonlyMap<string, number>[]

function measureNoise(answers: readonly Outputs[], optimized: readonly Outputs[]): Noise {
  return answers.map((outputs, set) => {
    const moved = Object.entries(outputs).map(([name, tensor]) => {
      const other = optimized[set]?.[name]
      return [name, other === undefined ? 0 : largestDifference(tensor, other)] as const
    })
    return new Map(moved)
  })
}

function findDifference(answers: readonly Outputs[], others: readonly Outputs[], noise: Noise): Difference | undefined {
  for (const [set, outputs] of answers.entries()) {
    for (const [name, tensor] of Object.entries(outputs)) {
      const other = others[set]?.[name]
      if (other === undefined) return { detail: `output '${name}' is gone` }
      const tolerance = { relative: relativeTolerance, noise: noiseFactor * (noise[set]?.get(name) ?? 0) }
      const difference = compareTensors(tensor, other, tolerance)
      if (difference !== undefined) return { detail: `output '${name}': ${difference.detail}` }
    }
  }
  return undefined
}

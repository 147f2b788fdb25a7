import { HastenError, messageOf } from '../../../errors.ts'
import type { Model } from '../../ir/model.ts'
import type { Tensor } from '../../ir/tensor.ts'
import type { SessionOptions } from '../../runtime/options.ts'
import type { Feeds, Session } from '../../runtime/port.ts'
import { compareTensors, largestDifference, type Difference } from '../compare-tensors.ts'
import { plainSession, withSession, type RunContext } from '../run-model.ts'
import { sampleFeeds, type SampleSource } from '../sample-feeds.ts'

const relativeTolerance = 1e-5

/**
 * Outputs can be tiny where a sigmoid saturates, and then rounding alone is a large part of them. The runtime's own
 * lossless optimizations show how much rounding moves this model's outputs; a rewrite may move them a few times that.
 */
const noiseFactor = 4

type ProofContext = RunContext & SampleSource

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
  const noise = measureNoise(answers, await answersOf(context, original, feeds, { optimizationLevel: 'all' }))
  return {
    sets: feeds.length,
    findDifference: async (model) =>
      findDifference(answers, await answersOf(context, model, feeds, plainSession), noise),
  }
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

import { createReadStream } from 'node:fs'
import { describeModel, loadModel, type Golden } from '../../engine/index.ts'
import type { FileRef, JobResult, NewCandidate } from '../../storage/index.ts'
import { retryUnavailable } from '../retry-unavailable.ts'
import { openOnTarget } from './admit.ts'
import type { Choice, Trial } from './choose.ts'
import type { OptimizeContext } from './context.ts'
import { askGolden } from './golden.ts'
import type { Materials } from './materials.ts'
import type { Placement } from './placement.ts'
import { sessionFor } from './sessions.ts'
import { mustOwn } from './superseded.ts'
import type { OptimizedModel } from './transform.ts'
import { judgeJob } from './verdict.ts'

/** The optimized model in the artifact store, not yet anybody's. */
interface PackagedModel {
  readonly files: readonly FileRef[]
  readonly signature: object
  readonly placement: Placement
  /** What it answers here to generated inputs; undefined when it can't be asked. */
  readonly golden: Golden | undefined
}

/** Checks that the file that will be published loads on the target, and brings it to the artifact store. */
export async function packageModel(context: OptimizeContext, optimized: OptimizedModel): Promise<PackagedModel> {
  const { placement, seen: golden } = await openOnTarget(context, optimized.path, optimized.session, async (session) =>
    askGolden(context, session, optimized.session),
  )
  const sizeBytes = optimized.files.reduce((sum, file) => sum + file.sizeBytes, 0)
  const signature = describeModel(await loadModel(optimized.path, { lazy: true }), sizeBytes)
  const files: FileRef[] = []
  for (const file of optimized.files) files.push(await storeFile(context, file))
  return { files, signature, placement, golden }
}

async function storeFile(
  { storage, signal }: OptimizeContext,
  { name, path, sizeBytes }: OptimizedModel['files'][number],
): Promise<FileRef> {
  const write = async () => storage.artifacts.write(createReadStream(path), { maxBytes: sizeBytes, signal })
  // Equal content is stored once, so a second try after a lost connection does no harm.
  return { name, ...(await retryUnavailable(write, { forMs: 60_000, signal })) }
}

interface Findings {
  readonly materials: Materials
  readonly trials: readonly Trial[]
  readonly choice: Choice
  /** The model that the verdict is about. */
  readonly packaged: PackagedModel
  /** The job's artifacts, stored and not yet anybody's. */
  readonly files: readonly FileRef[]
}

/**
 * Makes the result visible: models, verdict, candidates and state in one fenced transaction, or nothing. A model that
 * did not become the result is kept as a candidate, so that one can see what it was.
 * @throws SupersededError when the attempt no longer owns the job
 */
export async function publishResult(context: OptimizeContext, findings: Findings): Promise<void> {
  const { storage, fence } = context
  const { choice, packaged, files } = findings
  const result: JobResult = {
    verdict: judgeJob(choice),
    ...(choice.won && { placement: packaged.placement }),
    candidates: listCandidates(context, findings),
    files,
  }
  mustOwn(await retryUnavailable(async () => storage.jobs.succeed(fence, result), { forMs: 60_000 }))
}

function listCandidates(context: OptimizeContext, findings: Findings): NewCandidate[] {
  const { input, job } = context
  const original: NewCandidate = {
    name: 'original',
    role: 'baseline',
    modelId: job.modelId,
    options: { session: sessionFor(input.target) },
    measurement: findings.choice.subject.evidence.baseline,
    quality: {},
  }
  return [original, ...findings.trials.map((trial) => toCandidate(context, findings, trial))]
}

function toCandidate({ input }: OptimizeContext, findings: Findings, trial: Trial): NewCandidate {
  const { choice, packaged, materials } = findings
  const { name, optimized, evidence, quality } = trial
  const isSubject = trial === choice.subject
  const model = {
    name: nameResult(materials.model.name, name),
    files: packaged.files,
    signature: packaged.signature,
    session: optimized.session,
    golden: packaged.golden ?? null,
    metadata: {},
  }
  return {
    name,
    role: isSubject && choice.won ? 'chosen' : 'candidate',
    options: { session: sessionFor(input.target, optimized.session), recipe: input.recipeBody },
    measurement: evidence.optimized,
    quality: quality.report,
    ...(isSubject && { model }),
  }
}

const longestName = 128

/** A valid model name that says where it comes from. */
export function nameResult(model: string, recipe: string): string {
  return `${model.slice(0, longestName - recipe.length - 1)}-${recipe}`.slice(0, longestName)
}

import { HastenError } from '../../errors.ts'
import { checkFingerprint, decodeCheckpoint, encodeCheckpoint, fingerprintOf } from './checkpoint.ts'
import type { EpochRecord, Progress, Resume } from './checkpoint.ts'
import type { Setup } from './set-up.ts'
import type { TrainOptions } from './train-options.ts'
import { sizeOf } from './update.ts'

type Writable<T> = { -readonly [K in keyof T]: T[K] }

/** What changes while training goes on. */
export interface RunState {
  readonly progress: Writable<Omit<Progress, 'history' | 'losses' | 'resumes'>> & {
    history: EpochRecord[]
    losses: number[]
    resumes: Resume[]
  }
  /** Parameters of the best epoch; undefined where nothing judges. */
  best: Float32Array<ArrayBuffer> | undefined
  readonly fingerprint: string
  /** When this process began, and at which update, for the time left. */
  readonly startedAt: number
  readonly startedStep: number
  /** When the last checkpoint had been kept, and how long that took. */
  kept: { readonly at: number; readonly tookMs: number }
}

/**
 * The beginning, or what a checkpoint says; then the stepper has its vectors.
 * @throws HastenError `checkpoint_mismatch`
 */
export function beginRun(setup: Setup, options: TrainOptions, steps: number): RunState {
  const fingerprint = fingerprintOf(setup.model.parameters, settingsOf(options, setup, steps))
  const startedAt = performance.now()
  const kept = { at: startedAt, tookMs: 0 }
  if (options.resume === undefined) {
    const progress = { epoch: 0, position: 0, step: 0, history: [], losses: [], bestEpoch: -1, resumes: [] }
    return { progress, best: undefined, fingerprint, startedAt, startedStep: 0, kept }
  }
  const checkpoint = decodeCheckpoint(options.resume)
  checkFingerprint(checkpoint, fingerprint)
  const { best, ...vectors } = checkpoint.vectors
  const size = sizeOf(setup.model.parameters)
  if (setup.model.state.some((name) => vectors[name]?.length !== size)) {
    throw new HastenError('checkpoint_mismatch', 'the checkpoint lacks state of the optimizer')
  }
  setup.stepper.write(vectors)
  const { history, losses, resumes, ...rest } = checkpoint.progress
  const resume = { epoch: rest.epoch + 1, step: rest.step }
  const progress = { ...rest, history: [...history], losses: [...losses], resumes: [...resumes, resume] }
  return { progress, best, fingerprint, startedAt, startedStep: progress.step, kept }
}

/** What training can go on from. */
async function checkpointOf({ model, stepper }: Setup, { fingerprint, progress, best }: RunState): Promise<Uint8Array> {
  const read = async (name: string) => [name, await stepper.read(name)] as const
  const vectors = Object.fromEntries(await Promise.all(model.state.map(read)))
  return encodeCheckpoint({ fingerprint, progress, vectors: { ...vectors, ...(best && { best }) } })
}

/** Checkpoints take at most this share of the time. */
const checkpointShare = 0.05

/** Keeps a checkpoint where the options ask for one now. */
export async function keepCheckpoint(
  setup: Setup,
  options: TrainOptions,
  state: RunState,
  isEpochEnd: boolean,
): Promise<void> {
  if (options.onCheckpoint === undefined || !isDue(options, state, isEpochEnd)) return
  const begun = performance.now()
  await options.onCheckpoint(await checkpointOf(setup, state))
  const at = performance.now()
  state.kept = { at, tookMs: at - begun }
}

function isDue({ checkpointEvery, checkpointMs }: TrainOptions, { progress, kept }: RunState, isEpochEnd: boolean) {
  if (checkpointMs === undefined) {
    return isEpochEnd || (checkpointEvery !== undefined && progress.step % checkpointEvery === 0)
  }
  return performance.now() - kept.at >= Math.max(checkpointMs, kept.tookMs / checkpointShare)
}

/** What decides the course of a training, besides the model and the samples themselves. */
function settingsOf(options: TrainOptions, { plan, training, validation }: Setup, steps: number) {
  const { loss, optimizer, learningRate, schedule, clipNorm, ema, seed, output, teacher, masks } = options
  const learned = teacher && { teachers: teacher.models.length, alpha: teacher.alpha, temperature: teacher.temperature }
  const data = { samples: training.indices.length, held: validation?.indices.length ?? 0, ...plan }
  return {
    loss,
    optimizer,
    learningRate,
    schedule,
    clipNorm,
    ema,
    seed,
    output,
    learned,
    masks: masks?.size,
    data,
    steps,
  }
}

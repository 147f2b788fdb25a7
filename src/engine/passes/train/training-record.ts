import type { EpochRecord } from '../../training/index.ts'
import type { TrainingRecord } from '../training-findings.ts'
import { frozenWeights } from './describe-training.ts'
import type { Lesson } from './learn.ts'
import type { Trained, TrainingOptions } from './run-training.ts'

/** Names listed of one kind. */
const maxNames = 100

/** What a training did, as numbers. Without a lesson it learned from labels. */
export function recordTraining(trained: Trained, options: TrainingOptions, lesson?: Lesson): TrainingRecord {
  const { samples, metric = null, history, losses, best, stopped, resumes } = trained
  return {
    options: pickOptions(options, trained),
    learned_from: {
      alpha: lesson?.alpha ?? 1,
      teachers: [...(lesson?.teachers ?? [])],
      temperature: lesson?.temperature ?? null,
    },
    samples: { trained_on: samples.training, held_back: samples.validation },
    metric,
    epochs: history.map((epoch) => toEpoch(epoch)),
    losses: thinLosses(losses),
    updates: losses.length,
    best_epoch: best.epoch,
    stopped,
    parameters: countParameters(trained),
    held: countHeld(trained),
    resumed: resumes.map(({ epoch, step }) => ({ epoch, step })),
  }
}

function pickOptions(options: TrainingOptions, { batch }: Trained): TrainingRecord['options'] {
  const { loss, optimizer, learningRate, schedule, clipNorm, ema } = options
  const { accumulate, epochs, maxSteps, patience, validationShare, seed, keepZeros } = options
  const course = { accumulate, epochs, maxSteps, patience, validationShare, seed, keepZeros }
  return { loss, optimizer, learningRate, schedule, clipNorm, ema, batch, ...course }
}

function toEpoch({ validationLoss, learningRate, ...rest }: EpochRecord): TrainingRecord['epochs'][number] {
  return { ...rest, validation_loss: validationLoss, learning_rate: learningRate }
}

const maxPoints = 200

/** Means of neighbouring updates, each named by its last one. */
export function thinLosses(losses: readonly number[]): TrainingRecord['losses'] {
  const width = Math.max(1, Math.ceil(losses.length / maxPoints))
  return Array.from({ length: Math.ceil(losses.length / width) }, (_, index) => {
    const some = losses.slice(index * width, (index + 1) * width)
    return { step: index * width + some.length, loss: some.reduce((sum, loss) => sum + loss, 0) / some.length }
  })
}

function countParameters(trained: Trained): TrainingRecord['parameters'] {
  const frozen = frozenWeights(trained)
  return {
    trained: countOf(trained),
    tensors: trained.parameters.length,
    frozen: frozen.slice(0, maxNames),
    frozen_tensors: frozen.length,
  }
}

function countHeld(trained: Trained): TrainingRecord['held'] {
  const { held, zeros } = trained
  return { weights: held.slice(0, maxNames), tensors: held.length, zeros, sparsity: zeros / countOf(trained) }
}

function countOf({ parameters }: Trained): number {
  return parameters.reduce((sum, { count }) => sum + count, 0)
}

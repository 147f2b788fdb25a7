import type { TrainedStep } from '../../engine/schemas.ts'
import { formatLoss } from './findings.ts'

type Epoch = TrainedStep['epochs'][number]

const endings: Readonly<Record<TrainedStep['stopped'], string>> = {
  epochs: 'all epochs were done',
  steps: 'the limit of updates was reached',
  patience: 'the last epochs were no better',
}

/** The name of a step's pass, numbered where a recipe trains more than once. */
export function nameStep(steps: readonly TrainedStep[], index: number): string {
  const pass = steps[index]?.pass ?? ''
  return steps.length === 1 ? pass : `${pass} (${index + 1} of ${steps.length})`
}

/** What a training step did, in sentences: the outcome first. */
export function trainingSentences(step: TrainedStep): string[] {
  return [
    describeOutcome(step),
    describeCourse(step),
    describeParameters(step),
    ...describeHeld(step),
    ...describeResumes(step),
  ]
}

function describeOutcome(step: TrainedStep): string {
  const { epochs, best_epoch: bestEpoch } = step
  const [before] = epochs
  const best = epochs.find(({ epoch }) => epoch === bestEpoch)
  if (before === undefined || best === undefined) return 'nothing was trained.'
  if (best.validation_loss === null) {
    return `training loss ${formatLoss(step.losses[0]?.loss ?? null)} became ${formatLoss(best.loss)}; nothing was held back to judge by.`
  }
  if (bestEpoch === 0) return `no epoch was better than before (${describeEpoch(step, before)}), so the weights stayed.`
  return `${describeEpoch(step, before)} became ${describeEpoch(step, best)} on samples held back; epoch ${bestEpoch} was the best and is kept.`
}

function describeEpoch({ metric: name }: TrainedStep, { validation_loss: loss, metric }: Epoch): string {
  const text = `loss ${formatLoss(loss)}`
  return metric === null ? text : `${text}, ${name} ${formatShare(metric)}`
}

function describeCourse(step: TrainedStep): string {
  const { options, updates, epochs, samples, stopped } = step
  const { optimizer, learningRate, schedule, batch, accumulate, seed } = options
  const runs = accumulate === 1 ? `${batch}` : `${accumulate} × ${batch}`
  return (
    `${describeLesson(step)} on ${plural(samples.trained_on, 'sample')}, ${samples.held_back} held back: ` +
    `${plural(updates, 'update')} in ${plural(epochs.length - 1, 'epoch')}, until ${endings[stopped]}. ` +
    `Optimizer ${optimizer.kind}, learning rate ${learningRate} (${schedule.kind}), batch ${runs}, seed ${seed}.`
  )
}

function describeLesson({ learned_from: lesson, options }: TrainedStep): string {
  const { alpha, teachers, temperature } = lesson
  if (teachers.length === 0) return `Learned from labels by ${options.loss.kind}`
  const labels = alpha === 0 ? 'without labels' : `with labels weighing ${alpha}`
  return `Learned from ${teachers.join(', ')} at temperature ${temperature}, ${labels},`
}

function describeParameters({ parameters }: TrainedStep): string {
  const { trained, tensors, frozen, frozen_tensors: count } = parameters
  const shown = frozen.slice(0, 12).join(', ')
  const rest = count === 0 ? 'none was frozen' : `frozen: ${shown}${count > 12 ? ` and ${count - 12} more` : ''}`
  return `${plural(trained, 'parameter')} in ${plural(tensors, 'tensor')} were trained; ${rest}.`
}

function describeHeld({ held }: TrainedStep): string[] {
  if (held.tensors === 0) return []
  return [
    `${plural(held.zeros, 'zero')} of ${plural(held.tensors, 'pruned weight')} stayed 0: ${formatShare(held.sparsity)} of what was trained.`,
  ]
}

function describeResumes({ resumed }: TrainedStep): string[] {
  return resumed.map(
    ({ epoch, step }) => `Went on from a checkpoint in epoch ${epoch}, after ${plural(step, 'update')}.`,
  )
}

/** Head and cells of the epochs, the best marked. */
export function epochTable(step: TrainedStep, maxRows: number): { head: string[]; rows: string[][]; more: number } {
  const { epochs, metric, best_epoch: best } = step
  const isJudged = epochs.some(({ validation_loss: loss }) => loss !== null)
  const head = ['epoch', 'updates', 'learning rate', 'training loss', 'validation loss', metric ?? '', '']
  const rows = epochs
    .slice(0, maxRows)
    .map((each) => [
      String(each.epoch),
      String(each.step),
      formatLoss(each.learning_rate),
      formatLoss(each.loss),
      formatLoss(each.validation_loss),
      each.metric === null ? '' : formatShare(each.metric),
      isJudged && each.epoch === best ? 'kept' : '',
    ])
  return { head, rows, more: Math.max(0, epochs.length - maxRows) }
}

export function formatShare(share: number): string {
  return `${(share * 100).toFixed(2)} %`
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

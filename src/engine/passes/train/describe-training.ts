import type { Model } from '../../ir/model.ts'
import { elementCount } from '../../ir/tensor.ts'
import type { EpochRecord } from '../../training/index.ts'
import type { Note } from '../pass.ts'
import type { Trained } from './run-training.ts'

/** What training did, in sentences: what was trained and what not, the losses before and after, why it ended. */
export function describeTraining(trained: Trained): Note[] {
  const isBetter = trained.best.epoch > 0
  return [
    note(isBetter ? 'done' : 'skipped', describeOutcome(trained)),
    note('info', describeParameters(trained)),
    ...(trained.held.length > 0 ? [note('info', describeHeld(trained))] : []),
    ...trained.notes.map((reason) => note('info', reason)),
  ]
}

/** Whether the model differs from what went in. */
export function isTrained({ best }: Trained): boolean {
  return best.epoch > 0
}

function note(action: Note['action'], reason: string): Note {
  return { action, reason }
}

const endings: Readonly<Record<Trained['stopped'], string>> = {
  epochs: 'all epochs were done',
  steps: 'the limit of updates was reached',
  patience: 'the last epochs were no better',
}

function describeOutcome(trained: Trained): string {
  const { history, best, losses, stopped } = trained
  const work = `${losses.length} updates in ${plural(history.length - 1, 'epoch')}, until ${endings[stopped]}`
  const [before] = history
  if (before === undefined || best.validationLoss === null) {
    return `${work}: training loss ${show(losses[0])} → ${show(best.loss)}; nothing was held back to judge by`
  }
  if (!isTrained(trained)) {
    return `${work}: no epoch was better than the model as it was (${describeEpoch(trained, before)}), whose weights stay`
  }
  return `${work}: ${describeEpoch(trained, before)} → ${describeEpoch(trained, best)} on samples held back; epoch ${best.epoch} was the best`
}

function describeEpoch({ metric: name }: Trained, { validationLoss, metric }: EpochRecord): string {
  const loss = `loss ${show(validationLoss)}`
  return metric === null ? loss : `${loss}, ${name} ${metric.toFixed(4)}`
}

function describeParameters(trained: Trained): string {
  const { parameters } = trained
  const count = parameters.reduce((sum, each) => sum + each.count, 0)
  const frozen = frozenWeights(trained)
  const shown = frozen.length > 12 ? [...frozen.slice(0, 12), '…'] : frozen
  const rest = frozen.length === 0 ? 'none was frozen' : `frozen: ${shown.join(', ')}`
  return `${count} parameters in ${plural(parameters.length, 'tensor')} were trained; ${rest}`
}

/** Weights that training did not change. */
export function frozenWeights({ model, parameters }: Trained): string[] {
  const trained = new Set(parameters.map(({ name }) => name))
  return floatWeights(model).filter((name) => !trained.has(name))
}

/** What could hold knowledge: float32 initializers with more than one element. */
function floatWeights({ graph }: Model): string[] {
  const weights = [...graph.initializers].filter(
    ({ initializer }) => initializer?.dtype === 'float32' && elementCount(initializer.dims) > 1,
  )
  return weights.map(({ name }) => name)
}

function describeHeld({ held }: Trained): string {
  const shown = held.length > 12 ? [...held.slice(0, 12), '…'] : held
  return `the zeros of ${plural(held.length, 'pruned weight')} stayed exactly 0: ${shown.join(', ')}`
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

function show(value: number | null | undefined): string {
  return value == null ? '?' : value.toPrecision(4)
}

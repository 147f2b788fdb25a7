import { attribute } from '../ir/attribute.ts'
import type { Value } from '../ir/graph.ts'
import type { Emitter } from './emit.ts'
import type { LossKind, LossOptions } from './options.ts'

/** How a loss reads its target. */
export type TargetForm =
  /** Class indices: int64, the dims of the output without the class axis. */
  | 'classes'
  /** float32, the dims of the output. */
  | 'values'
  /** Logits of the same dims. */
  | 'logits'

type EmitLoss<K extends LossKind> = (
  emitter: Emitter,
  output: Value,
  target: Value,
  options: Extract<LossOptions, { kind: K }> & { readonly axis?: number },
) => Value

interface LossRule<K extends LossKind> {
  readonly target: TargetForm
  /** The activation whose input is meant when the output is that of one. */
  readonly reads?: 'Softmax' | 'Sigmoid'
  readonly emit: EmitLoss<K>
}

/**
 * The losses: each writes nodes that compute a float32 scalar, the mean over the batch. Logits in, where a
 * probability would lose digits.
 */
export const losses: { readonly [K in LossKind]: LossRule<K> } = {
  'cross-entropy': { target: 'classes', reads: 'Softmax', emit: crossEntropy },
  mse: {
    target: 'values',
    emit: (emitter, output, target) => meanOf(emitter, squareOf(emitter, emitter.emit('Sub', [output, target]))),
  },
  mae: {
    target: 'values',
    emit: ({ emit }, output, target) => emit('ReduceMean', [emit('Abs', [emit('Sub', [output, target])])], whole),
  },
  // max(x, 0) − x·z + log(1 + e^−|x|), whose first and last term are Softplus.
  'binary-cross-entropy': {
    target: 'values',
    reads: 'Sigmoid',
    emit: ({ emit }, output, target) =>
      emit('ReduceMean', [emit('Sub', [emit('Softplus', [output]), emit('Mul', [output, target])])], whole),
  },
  kl: { target: 'logits', reads: 'Softmax', emit: klDivergence },
  cosine: { target: 'values', emit: cosineDistance },
  feature: { target: 'values', emit: featureDistance },
}

/** Writes the loss of one output onto a graph. */
export function emitLoss(
  emitter: Emitter,
  output: Value,
  target: Value,
  options: LossOptions & { axis?: number },
): Value {
  const { emit } = losses[options.kind] as LossRule<LossKind>
  return emit(emitter, output, target, options)
}

const whole = { keepdims: attribute.int(0) }

function meanOf({ emit }: Emitter, value: Value): Value {
  return emit('ReduceMean', [value], whole)
}

function squareOf({ emit }: Emitter, value: Value): Value {
  return emit('Mul', [value, value])
}

/** Sum over some axes, which are dropped. */
function sumOver({ emit, ints }: Emitter, value: Value, axes: readonly number[]): Value {
  return emit('ReduceSum', [value, ints(axes)], whole)
}

function crossEntropy(
  emitter: Emitter,
  logits: Value,
  labels: Value,
  { labelSmoothing = 0, axis = -1 }: { readonly labelSmoothing?: number; readonly axis?: number },
): Value {
  const { emit, floats, ints } = emitter
  const logs = emit('LogSoftmax', [logits], { axis: attribute.int(axis) })
  const classes = emit('Gather', [emit('Shape', [logits]), ints([axis])])
  const picked = emit('OneHot', [labels, classes, floats([0, 1])], { axis: attribute.int(axis) })
  const hard = emit('Neg', [meanOf(emitter, sumOver(emitter, emit('Mul', [logs, picked]), [axis]))])
  if (labelSmoothing === 0) return hard
  const even = emit('Neg', [meanOf(emitter, logs)])
  return emit('Add', [emit('Mul', [hard, 1 - labelSmoothing]), emit('Mul', [even, labelSmoothing])])
}

/** T²·Σ p·(log p − log q), p the target's softmax at temperature T, as Hinton, Vinyals and Dean (2015) weigh it. */
function klDivergence(
  emitter: Emitter,
  logits: Value,
  target: Value,
  { temperature = 1, axis = -1 }: { readonly temperature?: number; readonly axis?: number },
): Value {
  const { emit } = emitter
  const logsOf = (value: Value) =>
    emit('LogSoftmax', [temperature === 1 ? value : emit('Div', [value, temperature])], { axis: attribute.int(axis) })
  const wanted = logsOf(target)
  const terms = emit('Mul', [emit('Exp', [wanted]), emit('Sub', [wanted, logsOf(logits)])])
  return emit('Mul', [meanOf(emitter, sumOver(emitter, terms, [axis])), temperature ** 2])
}

/** 1 − cos of the angle between output and target, each sample as one vector. */
function cosineDistance(emitter: Emitter, output: Value, target: Value): Value {
  const { emit } = emitter
  const [a, b] = [emit('Flatten', [output]), emit('Flatten', [target])]
  const dot = (left: Value, right: Value) => sumOver(emitter, emit('Mul', [left, right]), [1])
  const lengths = emit('Sqrt', [emit('Add', [emit('Mul', [dot(a, a), dot(b, b)]), 1e-12])])
  return emit('Sub', [1, meanOf(emitter, emit('Div', [dot(a, b), lengths]))])
}

/**
 * ‖s − t‖² ÷ ‖t‖²: the hint loss of FitNets (Romero et al., 2015), as a share of the teacher's feature so that one
 * weight fits layers of any scale.
 */
function featureDistance(emitter: Emitter, output: Value, target: Value): Value {
  const { emit } = emitter
  const distance = meanOf(emitter, squareOf(emitter, emit('Sub', [output, target])))
  return emit('Div', [distance, emit('Add', [meanOf(emitter, squareOf(emitter, target)), 1e-12])])
}

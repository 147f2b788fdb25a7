import type { Value } from '../ir/graph.ts'
import type { Emitter } from './emit.ts'
import type { OptimizerOptions } from './options.ts'

type Kind = OptimizerOptions['kind']

/** Vectors of all parameters end to end, in the order of the layout. */
interface UpdateInputs {
  readonly parameters: Value
  readonly gradient: Value
  /** The optimizer's own vectors, by the names of `slots`; zeros before the first update. */
  readonly slots: Readonly<Record<string, Value>>
  /** What `scalars` gives for this update. */
  readonly scalars: Readonly<Record<string, Value>>
  /** 1 where weight decay applies, else 0; undefined where it applies to all. */
  readonly decay: Value | undefined
}

interface Updated {
  readonly parameters: Value
  readonly slots: Readonly<Record<string, Value>>
}

interface OptimizerRule<K extends Kind> {
  readonly slots: readonly string[]
  /** What changes from update to update, computed in double precision. `update` counts from 1. */
  readonly scalars: (
    options: Extract<OptimizerOptions, { kind: K }>,
    update: number,
    rate: number,
  ) => Readonly<Record<string, number>>
  readonly emit: (emitter: Emitter, inputs: UpdateInputs, options: Extract<OptimizerOptions, { kind: K }>) => Updated
}

/** The optimizers, with the arithmetic of PyTorch's of the same name. */
const optimizers: { readonly [K in Kind]: OptimizerRule<K> } = {
  sgd: {
    slots: ['momentum'],
    scalars: (_options, _update, rate) => ({ rate }),
    emit: emitSgd,
  },
  // Kingma and Ba (2015); weight decay is part of the gradient.
  adam: {
    slots: ['mean', 'square'],
    scalars: adamScalars,
    emit(emitter, inputs, options) {
      const gradient = decayInto(emitter, inputs, options.weightDecay)
      return emitAdam(emitter, { ...inputs, gradient }, options)
    },
  },
  // Loshchilov and Hutter (2019); weight decay is a step of its own.
  adamw: {
    slots: ['mean', 'square'],
    scalars: (options, update, rate) => ({
      ...adamScalars(options, update, rate),
      shrink: rate * (options.weightDecay ?? 0),
    }),
    emit(emitter, inputs, options) {
      const { emit } = emitter
      const { parameters, scalars, decay } = inputs
      if ((options.weightDecay ?? 0) === 0) return emitAdam(emitter, inputs, options)
      const shrink = scalarOf(scalars, 'shrink')
      const shrunk =
        decay === undefined
          ? emit('Mul', [parameters, emit('Sub', [1, shrink])])
          : emit('Mul', [parameters, emit('Sub', [1, emit('Mul', [decay, shrink])])])
      return emitAdam(emitter, { ...inputs, parameters: shrunk }, options)
    },
  },
}

type AdamOptions = Extract<OptimizerOptions, { kind: 'adam' | 'adamw' }>

function adamScalars({ beta1 = 0.9, beta2 = 0.999 }: AdamOptions, update: number, rate: number) {
  return { rate: rate / (1 - beta1 ** update), correction: 1 / Math.sqrt(1 - beta2 ** update) }
}

function emitAdam(
  { emit }: Emitter,
  { parameters, gradient, slots, scalars }: UpdateInputs,
  { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 }: AdamOptions,
): Updated {
  const { mean: oldMean, square: oldSquare } = slots as { mean: Value; square: Value }
  const mean = emit('Add', [emit('Mul', [oldMean, beta1]), emit('Mul', [gradient, 1 - beta1])])
  const power = emit('Mul', [emit('Mul', [gradient, gradient]), 1 - beta2])
  const square = emit('Add', [emit('Mul', [oldSquare, beta2]), power])
  const root = emit('Mul', [emit('Sqrt', [square]), scalarOf(scalars, 'correction')])
  const move = emit('Div', [emit('Mul', [mean, scalarOf(scalars, 'rate')]), emit('Add', [root, epsilon])])
  return { parameters: emit('Sub', [parameters, move]), slots: { mean, square } }
}

function emitSgd(
  emitter: Emitter,
  inputs: UpdateInputs,
  { momentum = 0, nesterov = false, weightDecay }: Extract<OptimizerOptions, { kind: 'sgd' }>,
): Updated {
  const { emit } = emitter
  const { parameters, slots, scalars } = inputs
  const gradient = decayInto(emitter, inputs, weightDecay)
  const rate = scalarOf(scalars, 'rate')
  const { momentum: old } = slots as { momentum: Value }
  if (momentum === 0) return { parameters: emit('Sub', [parameters, emit('Mul', [gradient, rate])]), slots: {} }
  const velocity = emit('Add', [emit('Mul', [old, momentum]), gradient])
  const move = nesterov ? emit('Add', [gradient, emit('Mul', [velocity, momentum])]) : velocity
  return { parameters: emit('Sub', [parameters, emit('Mul', [move, rate])]), slots: { momentum: velocity } }
}

/** Weight decay as the gradient of ½·λ·w². */
function decayInto({ emit }: Emitter, { parameters, gradient, decay }: UpdateInputs, weightDecay = 0): Value {
  if (weightDecay === 0) return gradient
  const decayed = decay === undefined ? parameters : emit('Mul', [parameters, decay])
  return emit('Add', [gradient, emit('Mul', [decayed, weightDecay])])
}

function scalarOf(scalars: Readonly<Record<string, Value>>, name: string): Value {
  return scalars[name] as Value
}

/** The rule of an optimizer, for any of them. */
export function optimizerRule(options: OptimizerOptions): OptimizerRule<Kind> {
  return optimizers[options.kind] as OptimizerRule<Kind>
}

/** The vectors that an optimizer keeps with these options: none of a plain SGD. */
export function slotsOf(options: OptimizerOptions): readonly string[] {
  if (options.kind === 'sgd' && (options.momentum ?? 0) === 0) return []
  return optimizerRule(options).slots
}

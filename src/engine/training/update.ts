import { HastenError } from '../../errors.ts'
import { attribute } from '../ir/attribute.ts'
import type { Value } from '../ir/graph.ts'
import { elementCount, tensorOf, viewOf, type Tensor } from '../ir/tensor.ts'
import type { Emitter } from './emit.ts'
import { io } from './forward.ts'
import { optimizerRule, slotsOf } from './optimizers.ts'
import type { OptimizerOptions } from './options.ts'
import type { Parameter } from './parameters.ts'

export interface UpdateOptions {
  readonly optimizer: OptimizerOptions
  /** Largest global norm of a gradient; a longer one is scaled to it (Pascanu, Mikolov and Bengio, 2013). */
  readonly clipNorm?: number | undefined
  /** Decay of the moving average of the parameters; none is kept when absent. */
  readonly ema?: number | undefined
  /** 0 and 1 by parameter name: what is 0 stays exactly 0. */
  readonly masks?: ReadonlyMap<string, Tensor> | undefined
}

/** Names of the vectors that go from one update to the next. */
export function stateNames({ optimizer, ema }: UpdateOptions): readonly string[] {
  return ['parameters', ...slotsOf(optimizer), ...(ema === undefined ? [] : ['ema'])]
}

/**
 * Writes the update onto a graph: mask, norm, clipping, optimizer, average. Every vector holds all parameters end to
 * end, so that an update is a dozen nodes, however many parameters a model has.
 */
export function emitUpdate(
  emitter: Emitter,
  parameters: readonly Parameter[],
  vectors: { readonly parameters: Value; readonly gradient: Value },
  options: UpdateOptions,
): void {
  const { graph, emit } = emitter
  const { optimizer, ema } = options
  const vectorType = { dtype: 'float32', dims: [sizeOf(parameters)] } as const
  const slotInput = (name: string) => [name, graph.addInput(io.state(name), vectorType)] as const
  const scalarInput = (name: string) => [name, graph.addInput(io.scalar(name), { dtype: 'float32', dims: [] })] as const
  const rule = optimizerRule(optimizer)

  const masked = maskGradient(emitter, vectors.gradient, parameters, options.masks)
  const norm = emit('ReduceL2', [masked], { keepdims: attribute.int(0) })
  const updated = rule.emit(
    emitter,
    {
      parameters: vectors.parameters,
      gradient: clip(emitter, masked, norm, options.clipNorm),
      slots: Object.fromEntries(slotsOf(optimizer).map(slotInput)),
      scalars: Object.fromEntries(Object.keys(rule.scalars(optimizer, 1, 0)).map(scalarInput)),
      decay: decayVector(emitter, parameters, optimizer),
    },
    optimizer,
  )
  giveOutput(emitter, io.norm, norm, [])
  const next = { parameters: updated.parameters, ...updated.slots }
  for (const [name, value] of Object.entries(next)) giveOutput(emitter, io.next(name), value, vectorType.dims)
  if (ema === undefined) return
  const [, old] = slotInput('ema')
  const average = emit('Add', [old, emit('Mul', [emit('Sub', [updated.parameters, old]), 1 - ema])])
  giveOutput(emitter, io.next('ema'), average, vectorType.dims)
}

/** Makes a value a graph output of that name. */
export function giveOutput({ graph, emit }: Emitter, name: string, value: Value, dims: readonly number[]): void {
  const output = value.producer === undefined || value.isGraphOutput ? emit('Identity', [value]) : value
  output.type = { dtype: 'float32', dims }
  graph.renameValue(output, name)
  graph.addOutput(output)
}

/** Elements of all parameters. */
export function sizeOf(parameters: readonly Parameter[]): number {
  return parameters.reduce((sum, { count }) => sum + count, 0)
}

function clip({ emit }: Emitter, gradient: Value, norm: Value, limit: number | undefined): Value {
  if (limit === undefined) return gradient
  return emit('Mul', [gradient, emit('Min', [emit('Div', [limit, emit('Add', [norm, 1e-6])]), 1])])
}

// With no gradient there, momentum, decay and averages stay zero too.
function maskGradient(
  { graph, emit }: Emitter,
  gradient: Value,
  parameters: readonly Parameter[],
  masks: UpdateOptions['masks'],
): Value {
  if (masks === undefined || masks.size === 0) return gradient
  const vector = maskVector(parameters, masks)
  const mask = graph.addInitializer(graph.freshName('train/mask'), tensorOf('float32', [vector.length], vector))
  return emit('Mul', [gradient, mask])
}

/**
 * The masks end to end, 1 where there is none.
 * @throws HastenError `recipe_invalid` when a mask is of no parameter, or of other dims
 */
export function maskVector(
  parameters: readonly Parameter[],
  masks: ReadonlyMap<string, Tensor>,
): Float32Array<ArrayBuffer> {
  const vector = new Float32Array(sizeOf(parameters)).fill(1)
  const byName = new Map(parameters.map((parameter) => [parameter.name, parameter]))
  for (const [name, mask] of masks) {
    const parameter = byName.get(name)
    if (parameter === undefined) {
      throw new HastenError(
        'recipe_invalid',
        `there is a mask for '${name}', which is not among the trained parameters`,
      )
    }
    if (elementCount(mask.dims) !== parameter.count) {
      const dims = `[${mask.dims.join(', ')}], not [${parameter.dims.join(', ')}]`
      throw new HastenError('recipe_invalid', `the mask of '${name}' has dims ${dims}`)
    }
    vector.set(Float32Array.from(viewOf(mask), Number), parameter.offset)
  }
  return vector
}

/** Undefined where weight decay applies to every parameter, or to none. */
function decayVector(
  { graph }: Emitter,
  parameters: readonly Parameter[],
  optimizer: OptimizerOptions,
): Value | undefined {
  const { weightDecay = 0, decayed = 'matrices' } = optimizer
  if (weightDecay === 0 || decayed === 'all' || parameters.every(isMatrix)) return undefined
  const vector = new Float32Array(sizeOf(parameters))
  for (const parameter of parameters) {
    if (isMatrix(parameter)) vector.fill(1, parameter.offset, parameter.offset + parameter.count)
  }
  return graph.addInitializer(graph.freshName('train/decay'), tensorOf('float32', [vector.length], vector))
}

function isMatrix({ dims }: Parameter): boolean {
  return dims.length >= 2
}

import type { AffineOptions, QuantizedDType } from '../../calibrate/affine.ts'
import { HastenError } from '../../../errors.ts'
import { reducesRange } from '../int8-target.ts'
import type { PassOptions, Target, Warning } from '../pass.ts'

type Options = Pick<
  PassOptions<'quantize.static'>,
  'activations' | 'symmetricActivations' | 'weights' | 'symmetricWeights' | 'perChannel' | 'block' | 'reduceRange'
>

/** How activations and weights become integers. */
export interface Scheme {
  readonly activations: AffineOptions
  readonly weights: AffineOptions & { readonly reduceRange: boolean }
  /** Whether int8 activations are written as uint8. */
  readonly unsigned: boolean
  readonly perChannel: boolean
  /** Elements along the reduced axis of a matrix that share a scale; undefined for none. */
  readonly block: number | undefined
}

/** First opset whose Quantize- and DequantizeLinear take blocks. */
const blockedOpset = 21

/**
 * The scheme that options ask for on a host.
 * @throws HastenError `recipe_invalid` for one that ONNX Runtime can't run
 */
export function resolveScheme(options: Options, target: Target): Scheme {
  const { symmetricActivations, symmetricWeights, perChannel, block } = options
  // Whoever knows the host has filled these in; the usual ones are right nearly everywhere.
  const activations = options.activations === 'auto' ? 'uint8' : options.activations
  const weights = options.weights === 'auto' ? 'int8' : options.weights
  const signed = activations.startsWith('int')
  const reduceRange = weights === 'int8' && reducesRange(target, options.reduceRange)
  const scheme: Scheme = {
    activations: {
      dtype: activations,
      symmetric: symmetricActivations === 'auto' ? signed : symmetricActivations === 'always',
    },
    weights: { dtype: weights, symmetric: symmetricWeights, reduceRange },
    unsigned: activations === 'int8' && isX64(target),
    perChannel,
    block: block === 0 ? undefined : block,
  }
  const reason = refusals.find(({ when }) => when(scheme))?.reason
  if (reason !== undefined) throw new HastenError('recipe_invalid', `pass 'quantize.static': ${reason}`)
  return scheme
}

/**
 * On x64 the kernels take uint8 activations. ONNX Runtime rewrites pairs of int8 to that, but only those with one reader,
 * and leaves what has pairs of both types around it in float.
 */
function isX64({ device, isa }: Target): boolean {
  return device === 'cpu' && isa.some((feature) => feature.startsWith('avx') || feature.startsWith('sse'))
}

/** Why a model can't have a scheme, if it can't. */
export function declineModel({ block }: Scheme, opset: number): string | undefined {
  if (block === undefined || opset >= blockedOpset) return undefined
  return `weights in blocks need opset ${blockedOpset}; the model is opset ${opset}`
}

const refusals: readonly { readonly when: (scheme: Scheme) => boolean; readonly reason: string }[] = [
  {
    when: ({ block, weights }) => block !== undefined && isByte(weights.dtype),
    reason:
      '8-bit weights in blocks load, but fail when they run: ONNX Runtime fuses them into a kernel without blocks; use int4, uint4 or int16',
  },
  {
    when: ({ perChannel, block, weights }) =>
      perChannel && block === undefined && isByte(weights.dtype) && !weights.symmetric,
    reason:
      'asymmetric 8-bit weights per channel have a zero point each, and the kernels take only one: set symmetricWeights or perChannel: false',
  },
]

function isByte(dtype: QuantizedDType): boolean {
  return dtype === 'uint8' || dtype === 'int8'
}

export const ownDomain = 'com.microsoft'

/** Where Quantize- and DequantizeLinear of a type are: those of 4 and 16 bits are in ONNX since opset 21 only. */
export function domainOf(dtype: QuantizedDType, opset: number): string {
  return isByte(dtype) || opset >= 21 ? '' : ownDomain
}

/** What happens to a node with weights. */
export function describeScheme({ activations, weights }: Scheme): string {
  return isByte(activations.dtype) && isByte(weights.dtype)
    ? `runs in int8 with ${weights.dtype} weights`
    : `has ${weights.dtype} weights and ${activations.dtype} activations, but runs in float`
}

/** What to know about the speed of a scheme on CPUs. */
export function schemeWarnings(scheme: Scheme, { device }: Target): Warning[] {
  const { activations, weights } = scheme
  if (device !== 'cpu') return []
  if (!isByte(activations.dtype) || !isByte(weights.dtype)) {
    const hint = `No CPU kernel multiplies ${activations.dtype} by ${weights.dtype}: the products run in float between conversions. The model is smaller, not faster.`
    return [{ code: 'scheme_not_accelerated', hint }]
  }
  return slower.flatMap(({ when, hint }) => (when(scheme) ? [{ code: 'scheme_slower', hint }] : []))
}

const slower: readonly { readonly when: (scheme: Scheme) => boolean; readonly hint: string }[] = [
  {
    when: ({ weights }) => weights.dtype === 'uint8',
    hint: 'uint8 weights have slower kernels than int8 ones on CPUs with 8-bit dot products; they do not saturate on the others.',
  },
  {
    when: ({ activations, unsigned }) => activations.dtype === 'int8' && !unsigned,
    hint: 'On x64 ONNX Runtime turns int8 activations into uint8, but not values that more than one node reads, or a float Conv or Gemm: the nodes around them then run in float. uint8 activations have no such gap.',
  },
]

import { createHash } from 'node:crypto'
import { Type, type Static } from 'typebox'
import { dtypeTable } from '../ir/dtype.ts'
import { elementCount, type NumericTensor, type Tensor } from '../ir/tensor.ts'
import type { SessionOptions } from '../runtime/options.ts'
import { isFloat, numbersOf } from './quality/numbers.ts'

/** What decides how a model's answers are rounded. */
const conditionsSchema = Type.Object({
  architecture: Type.String(),
  isa: Type.Array(Type.String()),
  /** Version of ONNX Runtime. */
  runtime: Type.String(),
  /** The session options among them. */
  session: Type.Record(Type.String(), Type.Unknown()),
})
export type Conditions = Static<typeof conditionsSchema>

const outputSchema = Type.Object({
  name: Type.String(),
  dtype: Type.Enum(Object.keys(dtypeTable) as (keyof typeof dtypeTable)[]),
  dims: Type.Array(Type.Integer()),
  /** Of all elements. */
  sha256: Type.String(),
  /** Every `step`th element, in base64; absent for those that are compared by their hash only. */
  step: Type.Optional(Type.Integer({ minimum: 1 })),
  values: Type.Optional(Type.String()),
})
type GoldenOutput = Static<typeof outputSchema>

/** What a model answered to generated inputs; `outputs` is null when it answers otherwise each time. */
export const goldenSchema = Type.Object({
  conditions: conditionsSchema,
  outputs: Type.Union([Type.Array(outputSchema), Type.Null()]),
})
export type Golden = Static<typeof goldenSchema>

export type Outputs = Readonly<Record<string, Tensor>>

/** Bounds what is kept of a model, however large its outputs are. */
const maxOutputs = 64
const maxSamples = 4096

/** Under the same conditions: what another number of threads changes, as a part of the largest value. */
const closeTolerances = { float16: 1e-2, bfloat16: 5e-2, float32: 1e-3, float64: 1e-6 } as const
/** Under others: a few roundings of 8-bit integers, and far less than what saturated sums do. */
const otherTolerance = 0.05

/** The session options that change how answers are rounded. */
export function roundingOptions(options: SessionOptions): Conditions['session'] {
  const {
    optimizationLevel = 'all',
    x64QuantPrecision = false,
    providers = [{ name: 'cpu' }],
    freeDimensions = {},
  } = options
  const dims = byName(freeDimensions)
  return { optimizationLevel, x64QuantPrecision, providers: providers.map(({ name }) => name), dims }
}

/** @param runs outputs of several runs on the same inputs */
export function recordGolden(runs: readonly [Outputs, ...Outputs[]], conditions: Conditions): Golden {
  const [first, ...others] = runs
  const golden = { conditions, outputs: Object.entries(first).slice(0, maxOutputs).map(keepOutput) }
  const varies = others.some((outputs) => findDifference(golden, outputs, conditions) !== undefined)
  return varies ? { conditions, outputs: null } : golden
}

/** Says how outputs differ from those that were kept, by more than the conditions explain; undefined when they do not. */
export function findDifference(golden: Golden, outputs: Outputs, conditions: Conditions): string | undefined {
  const isSame = JSON.stringify(sorted(golden.conditions)) === JSON.stringify(sorted(conditions))
  const kept = golden.outputs ?? []
  // Labels follow from scores, and a score near a threshold may round to either side of it.
  const byFloatsOnly = !isSame && kept.some(({ name }) => outputs[name] !== undefined && isFloat(outputs[name]))
  for (const output of kept) {
    const tensor = outputs[output.name]
    const reason = tensor === undefined ? 'is missing' : compareOutput(output, tensor, isSame, byFloatsOnly)
    if (reason !== undefined) return `output '${output.name}' ${reason}`
  }
  return undefined
}

function sorted({ architecture, isa, runtime, session }: Conditions): unknown {
  return [architecture, isa.toSorted(), runtime, byName(session)]
}

function byName<T>(values: Readonly<Record<string, T>>): [string, T][] {
  return Object.entries(values).toSorted(([a], [b]) => (a < b ? -1 : 1))
}

function keepOutput([name, tensor]: readonly [string, Tensor]): GoldenOutput {
  const { dtype, dims } = tensor
  const plain = { name, dtype, dims: [...dims], sha256: hashOf(tensor) }
  if (!isFloat(tensor)) return plain
  const step = Math.max(1, Math.ceil(elementCount(dims) / maxSamples))
  const values = Buffer.from(Float64Array.from(sample(tensor, step)).buffer).toString('base64')
  return { ...plain, step, values }
}

function hashOf(tensor: Tensor): string {
  const hash = createHash('sha256')
  if (tensor.dtype !== 'string') return hash.update(tensor.bytes).digest('hex')
  for (const text of tensor.strings) hash.update(`${text.length}:`).update(text)
  return hash.digest('hex')
}

function sample(tensor: NumericTensor, step: number): number[] {
  const numbers = numbersOf(tensor)
  return Array.from({ length: Math.ceil(numbers.length / step) }, (_, index) => numbers[index * step] ?? NaN)
}

function compareOutput(kept: GoldenOutput, tensor: Tensor, isSame: boolean, byFloatsOnly: boolean): string | undefined {
  if (tensor.dtype !== kept.dtype) return `is ${tensor.dtype}, and was ${kept.dtype}`
  if (tensor.dims.join() !== kept.dims.join())
    return `has dims [${tensor.dims.join(', ')}], and had [${kept.dims.join(', ')}]`
  if (hashOf(tensor) === kept.sha256) return undefined
  if (!isFloat(tensor) || kept.values === undefined || kept.step === undefined) {
    return byFloatsOnly ? undefined : 'is another than it was'
  }
  const bytes = new Uint8Array(Buffer.from(kept.values, 'base64'))
  const before = new Float64Array(bytes.buffer, 0, Math.floor(bytes.length / Float64Array.BYTES_PER_ELEMENT))
  const now = sample(tensor, kept.step)
  const [distance, allowed] = isSame
    ? [largestDistance(before, now), closeTolerances[tensor.dtype as keyof typeof closeTolerances]]
    : [relativeDistance(before, now), otherTolerance]
  if (distance <= allowed) return undefined
  if (distance === Infinity) return 'is another than it was'
  return `is ${(distance * 100).toPrecision(2)} % off what it was, ${allowed * 100} % being allowed`
}

/** The largest difference over the largest value; infinite where only one of two is finite. */
function largestDistance(before: Float64Array, now: readonly number[]): number {
  let [difference, largest] = [0, 0]
  for (const [index, a] of before.entries()) {
    const b = now[index] ?? NaN
    if (Object.is(a, b)) continue
    if (!Number.isFinite(a) || !Number.isFinite(b)) return Infinity
    difference = Math.max(difference, Math.abs(a - b))
  }
  for (const a of before) if (Number.isFinite(a)) largest = Math.max(largest, Math.abs(a))
  return difference === 0 ? 0 : difference / largest
}

/** The length of the difference over that of the values; infinite where only one of two is finite. */
function relativeDistance(before: Float64Array, now: readonly number[]): number {
  let [difference, length] = [0, 0]
  for (const [index, a] of before.entries()) {
    const b = now[index] ?? NaN
    if (Object.is(a, b) && !Number.isFinite(a)) continue
    if (!Number.isFinite(a) || !Number.isFinite(b)) return Infinity
    difference += (a - b) ** 2
    length += a ** 2
  }
  return difference === 0 ? 0 : Math.sqrt(difference / length)
}

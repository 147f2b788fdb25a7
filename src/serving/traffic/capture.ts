import { npyDescriptor, type Feeds, type Tensor, type TensorInfo } from '../../engine/serving.ts'
import type { Lane, LaneResult } from '../scheduler/lane.ts'
import { copyBytes } from './copy.ts'
import { isAllFinite } from './finite.ts'
import { rowCountOf } from './rows.ts'

/** A kept input of one sample, which has no axis of samples. */
type SampleArray = Extract<Tensor, { bytes: Uint8Array }> & { readonly name: string }

export interface Sample {
  /** Random; see `CaptureSink.cut`. */
  readonly key: number
  readonly arrays: readonly SampleArray[]
}

/** Where samples go. */
export interface CaptureSink {
  /** Samples of this key or a larger one would be dropped. */
  cut(): number
  /** Reserves memory for samples that are on their way; false when there is none left. */
  reserve(bytes: number): boolean
  /** Takes reserved samples; none of them where the request failed. */
  add(samples: readonly Sample[], reserved: number): void
}

export interface CaptureOptions {
  /** Of requests that are looked at. */
  readonly share: number
  readonly inputs: readonly TensorInfo[]
  /** Inputs that are kept; every one when undefined. */
  readonly only?: readonly string[] | undefined
  /** Inputs that are not. */
  readonly omit?: readonly string[] | undefined
  readonly sink: CaptureSink
  /** From 0 to below 1. */
  readonly random?: () => number
}

/**
 * Keeps the inputs of some requests that were answered. They are copied when the request is on its way already, and go
 * on from there when it has its answer, which nothing of this can delay or fail.
 */
export function createCapture(lane: Lane, options: CaptureOptions): Lane {
  const names = keptInputs(options)
  if (names.length === 0) return lane
  const { share, sink, random = Math.random } = options
  const isStacked = haveRows(options.inputs)
  return {
    ...lane,
    async submit(request) {
      const answer = lane.submit(request)
      if (random() < share) keep(answer, choose(request.feeds, names, isStacked, { sink, random }), sink)
      return answer
    },
  }
}

/** Those that a dataset can hold; none when one can't be held, since a dataset without it fits no model. */
function keptInputs({ inputs, only, omit = [] }: CaptureOptions): readonly string[] {
  const kept = inputs.filter(({ name }) => (only?.includes(name) ?? true) && !omit.includes(name))
  return kept.every(({ dtype }) => npyDescriptor(dtype) !== undefined) ? kept.map(({ name }) => name) : []
}

/** Every input has the same first dim: its rows are samples. Else a request is one. */
function haveRows(inputs: readonly TensorInfo[]): boolean {
  const [first] = inputs
  return inputs.every(({ dims, anyRank }) => anyRank !== true && dims.length > 0 && Object.is(dims[0], first?.dims[0]))
}

function keep(answer: Promise<LaneResult>, samples: readonly Sample[], sink: CaptureSink): void {
  if (samples.length === 0) return
  const bytes = samples.reduce((sum, sample) => sum + bytesOf(sample), 0)
  answer.then(
    () =>
      sink.add(
        samples.filter(({ arrays }) => arrays.every(isAllFinite)),
        bytes,
      ),
    () => sink.add([], bytes),
  )
}

function choose(
  feeds: Feeds,
  names: readonly string[],
  isStacked: boolean,
  { sink, random }: { readonly sink: CaptureSink; readonly random: () => number },
): Sample[] {
  const rows = isStacked ? rowCountOf(feeds) : 1
  const samples: Sample[] = []
  for (let row = 0; row < (rows ?? 0); row++) {
    const key = random()
    if (key >= sink.cut()) continue
    const views = names.flatMap((name) => viewOfSample(name, feeds[name], isStacked ? row : undefined))
    if (!sink.reserve(views.reduce((sum, { bytes }) => sum + bytes.length, 0))) break
    samples.push({ key, arrays: views.map(copyOf) })
  }
  return samples
}

function copyOf({ name, dtype, dims, bytes }: SampleArray): SampleArray {
  return { name, dtype, dims, bytes: copyBytes(bytes) }
}

function viewOfSample(name: string, tensor: Tensor | undefined, row: number | undefined): SampleArray[] {
  if (tensor === undefined || tensor.dtype === 'string') return []
  if (row === undefined) return [{ ...tensor, name }]
  const each = tensor.bytes.length / (tensor.dims[0] ?? 1)
  return [{ ...tensor, name, dims: tensor.dims.slice(1), bytes: tensor.bytes.subarray(row * each, (row + 1) * each) }]
}

function bytesOf({ arrays }: Sample): number {
  return arrays.reduce((sum, { bytes }) => sum + bytes.length, 0)
}

import { afterAll, expect } from 'vitest'
import type { HastenError } from '../../../src/errors.ts'
import { train, type TrainOptions } from '../../../src/engine/training/index.ts'
import type { Dataset } from '../../../src/engine/data/index.ts'
import { createRandom, sampleNormal } from '../../../src/engine/data/random.ts'
import type { Model } from '../../../src/engine/ir/model.ts'
import { elementCount, tensorOf, viewOf, type Tensor } from '../../../src/engine/ir/tensor.ts'
import { encodeModel } from '../../../src/engine/onnx/index.ts'
import type { Feeds } from '../../../src/engine/runtime/port.ts'
import { createOrtRuntime } from '../../../src/engine/runtime/ort/index.ts'
import { decodedModel, type ModelSpec } from '../../support/models.ts'

export const runtime = createOrtRuntime()
afterAll(async () => runtime.close())

/** One thread: results repeat to the bit. */
export const session = { intraOpThreads: 1, interOpThreads: 1 }

export async function runModel(model: Model, feeds: Feeds): Promise<Readonly<Record<string, Tensor>>> {
  const opened = await runtime.createSession({ bytes: encodeModel(model) }, { session })
  try {
    return await opened.run(feeds)
  } finally {
    await opened.release()
  }
}

export function floats(dims: readonly number[], values: Iterable<number>): Tensor {
  return tensorOf('float32', dims, Float32Array.from(values))
}

export function ints(dims: readonly number[], values: Iterable<number>): Tensor {
  return tensorOf('int64', dims, BigInt64Array.from(values, BigInt))
}

/** Normally distributed numbers. */
export function noise(count: number, seed: number, deviation = 1): Float32Array {
  const random = createRandom(seed)
  return Float32Array.from({ length: count }, () => deviation * sampleNormal(random))
}

export function numbers(tensor: Tensor | undefined): number[] {
  return Array.from(viewOf(tensor!), Number)
}

/** A dataset over tensors in memory; the first axis is the samples. */
export function memoryDataset(arrays: Readonly<Record<string, Tensor>>, labels?: Tensor): Dataset {
  const cut = (tensor: Tensor, start: number, count: number): Tensor => {
    if (tensor.dtype === 'string') throw new Error('no text here')
    const bytes = tensor.bytes.byteLength / tensor.dims[0]!
    const part = tensor.bytes.slice(start * bytes, (start + count) * bytes)
    return { ...tensor, dims: [count, ...tensor.dims.slice(1)], bytes: part }
  }
  const infos = Object.entries(arrays).map(([name, { dtype, dims }]) => ({ name, dtype, dims }))
  const labelInfo = labels && { name: 'labels', dtype: labels.dtype, dims: labels.dims }
  return {
    schema: { arrays: labelInfo === undefined ? infos : [...infos, labelInfo], labels: labels ? 'labels' : null },
    samples: infos[0]!.dims[0]!,
    fixedBatch: null,
    read: async (start, count) =>
      Object.fromEntries(Object.entries(arrays).map(([name, tensor]) => [name, cut(tensor, start, count)])),
    labels: async (start, count) => labels && cut(labels, start, count),
    unpack: async () => undefined,
    close: async () => undefined,
  }
}

export interface BlobOptions {
  readonly samples?: number
  readonly features?: number
  readonly classes?: number
  readonly seed?: number
}

/** Points around a centre for each class: what a small net learns in a few epochs and an untrained one can't guess. */
export function blobs({ samples = 240, features = 8, classes = 4, seed = 5 }: BlobOptions = {}): Dataset {
  const centres = noise(classes * features, 77, 2)
  const values = noise(samples * features, seed)
  const labels = Array.from({ length: samples }, (_, index) => index % classes)
  values.forEach((value, index) => {
    const [sample, feature] = [Math.floor(index / features), index % features]
    values[index] = value + centres[labels[sample]! * features + feature]!
  })
  return memoryDataset({ x: floats([samples, features], values) }, ints([samples], labels))
}

function weight(dims: readonly number[], seed: number): Tensor {
  return floats(dims, noise(elementCount(dims), seed, 1 / Math.sqrt(dims[0]!)))
}

/** x [N, 8] → 16 Relu → 4 logits, with random weights; `extra` changes the specification. */
export function mlp(extra: Partial<ModelSpec> = {}): Model {
  return decodedModel({
    inputs: { x: ['float32', ['N', 8]] },
    outputs: { logits: ['float32', ['N', 4]] },
    initializers: {
      w1: weight([8, 16], 1),
      b1: floats([16], new Float32Array(16)),
      w2: weight([16, 4], 2),
      b2: floats([4], new Float32Array(4)),
    },
    nodes: [
      ['Gemm', ['x', 'w1', 'b1'], ['h']],
      ['Relu', ['h'], ['r']],
      ['Gemm', ['r', 'w2', 'b2'], ['logits']],
    ],
    ...extra,
  })
}

const basics = {
  runtime,
  session,
  loss: { kind: 'cross-entropy' },
  optimizer: { kind: 'adam' },
  learningRate: 0.01,
  batch: 16,
  epochs: 3,
  seed: 7,
} as const satisfies Partial<TrainOptions>

export function run(options: Partial<TrainOptions> = {}) {
  return train({ ...basics, model: mlp(), dataset: blobs(), ...options })
}

export async function failure(work: Promise<unknown>): Promise<HastenError> {
  return work.then(
    () => expect.unreachable('it should have failed'),
    (error: unknown) => error as HastenError,
  )
}

export function weightsOf(model: Model): Record<string, number[]> {
  return Object.fromEntries([...model.graph.initializers].map(({ name, initializer }) => [name, numbers(initializer)]))
}

/** Share of samples whose largest logit is that of the label. */
export async function accuracyOn(model: Model, dataset = blobs({ seed: 99 })): Promise<number> {
  const outputs = await runModel(model, await dataset.read(0, dataset.samples))
  const logits = numbers(outputs[model.graph.outputs[0]!.name])
  const labels = numbers(await dataset.labels(0, dataset.samples))
  const classes = logits.length / labels.length
  const hits = labels.filter((label, sample) => {
    const row = logits.slice(sample * classes, (sample + 1) * classes)
    return row.indexOf(Math.max(...row)) === label
  })
  return hits.length / labels.length
}

export function regressionWeights() {
  return {
    w1: floats([8, 16], noise(128, 1, 0.35)),
    b1: floats([16], new Float32Array(16)),
    w2: floats([16, 1], noise(16, 2, 0.25)),
    b2: floats([1], [0]),
  }
}

import { createHash } from 'node:crypto'
import { trialRun } from '../../../src/engine/analysis/index.ts'
import { generateInputs, type Dataset } from '../../../src/engine/data/index.ts'
import { allGraphs, type Model } from '../../../src/engine/ir/model.ts'
import { printModel } from '../../../src/engine/ir/print.ts'
import type { Tensor } from '../../../src/engine/ir/tensor.ts'
import type { PassName } from '../../../src/engine/passes/options/index.ts'
import type { TensorInfo } from '../../../src/engine/runtime/port.ts'
import { fixtureModels } from '../../support/fixture-models.ts'
import { ocrModels, vadModel } from '../../support/models.ts'
import { datasetOf, runtime } from '../passes/support.ts'

/** The standard models: convolutions, attention, recurrence, trees, and a net inside an If. */
export const subjects: Readonly<Record<string, string>> = {
  'the digit CNN': new URL('../../../examples/digits/digits.onnx', import.meta.url).pathname,
  'PP-OCR cls': ocrModels.cls,
  'a transformer': fixtureModels.transformer.model,
  'an LSTM': fixtureModels.lstm.model,
  'boosted trees': fixtureModels.boostedTrees.model,
  'Silero VAD': vadModel,
}

/** Inputs of a model with the dims of a run. */
export async function inputsOf(file: string): Promise<readonly TensorInfo[]> {
  const { inputs } = await trialRun(file, runtime, { deadlineMs: 30_000 })
  return inputs as readonly TensorInfo[]
}

const samples = 4

/** A few samples, each a whole set of inputs. */
export async function samplesOf(inputs: readonly TensorInfo[]): Promise<Dataset> {
  const each = Array.from({ length: samples }, (_, seed) => generateInputs(inputs, { batch: 1, seed }))
  return datasetOf(
    Object.fromEntries(inputs.map(({ name }) => [name, stack(each.map((feeds) => feeds[name] as Tensor))])),
  )
}

function stack(tensors: readonly Tensor[]): Tensor {
  const parts = tensors.map((tensor) => (tensor.dtype === 'string' ? new Uint8Array(0) : tensor.bytes))
  const [first] = tensors
  return { dtype: first?.dtype, dims: [tensors.length, ...(first?.dims ?? [])], bytes: Buffer.concat(parts) } as Tensor
}

/** A model in words: graph, types, and a checksum of every constant. */
export function describeModel(model: Model): string {
  const sums = [...allGraphs(model)].flatMap((graph) => [...graph.initializers].map(checksum))
  return [printModel(model), ...sums.toSorted()].join('\n')
}

function checksum({ name, initializer }: { name: string; initializer: Tensor | undefined }): string {
  const hash = createHash('sha1')
  if (initializer?.dtype === 'string') for (const each of initializer.strings) hash.update(each)
  else if (initializer !== undefined) hash.update(initializer.bytes)
  return `${name} ${hash.digest('hex')}`
}

export interface PassProperties {
  readonly options: Readonly<Record<string, unknown>>
  /** Whether outputs stay within 1e-5. */
  readonly lossless?: true
  /** Why a second run may do more; a pass without it finds nothing the second time. */
  readonly repeats?: string
  /** The models that it runs on, where it takes too long on the others. */
  readonly on?: readonly string[]
  /** Why two runs may not give the same; a pass without it does the same to a model that went through a file. */
  readonly varies?: string
}

const calibration = { samples }

const fewUpdates = { maxSteps: 2, batch: 1, validationShare: 0.25 }
const anyOrder = 'several threads add numbers in any order'

/** Every pass with options that take little time: a new pass is a type error here. */
export const passProperties: Readonly<Record<PassName, PassProperties>> = {
  simplify: { options: { maxGrowthBytes: 2 ** 23 }, lossless: true },
  fp16: { options: {} },
  bf16: { options: {} },
  'quantize.dynamic': { options: {} },
  'quantize.static': { options: { calibration } },
  'quantize.mixed': { options: { calibration, evalSamples: samples }, on: ['the digit CNN', 'boosted trees'] },
  'quantize.weights': { options: { accuracyLevel: 'int8', method: 'rtn' } },
  codebook: { options: { scheme: 'linear', bits: 5 } },
  'prune.unstructured': { options: {} },
  'prune.nm': { options: {} },
  'prune.structured': { options: { refit: false }, repeats: 'it removes a share of what is there' },
  'prune.depth': { options: {}, repeats: 'it removes a share of what is there' },
  factorize: { options: {} },
  finetune: { options: { ...fewUpdates, withoutLabels: 'distill' }, on: ['the digit CNN'], varies: anyOrder },
  qat: { options: { ...fewUpdates, calibration }, on: ['the digit CNN'], varies: anyOrder },
  distill: { options: fewUpdates, on: ['the digit CNN'], varies: anyOrder },
  auto: {
    options: { techniques: ['int8-dynamic'], evalSamples: samples },
    on: ['PP-OCR cls', 'boosted trees'],
    repeats: 'what it keeps depends on times',
    varies: 'what it keeps depends on times',
  },
  tune: { options: {}, lossless: true },
}

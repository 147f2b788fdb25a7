import type { TSchema } from 'typebox'
import { bf16Options } from './bf16.ts'
import { codebookOptions } from './codebook.ts'
import { autoOptions } from './auto.ts'
import { distillOptions } from './distill.ts'
import { factorizeOptions } from './factorize.ts'
import { finetuneOptions } from './finetune.ts'
import { fp16Options } from './fp16.ts'
import { pruneDepthOptions } from './prune-depth.ts'
import { pruneNmOptions } from './prune-nm.ts'
import { pruneStructuredOptions } from './prune-structured.ts'
import { pruneUnstructuredOptions } from './prune-unstructured.ts'
import { qatOptions } from './qat.ts'
import { quantizeDynamicOptions } from './quantize-dynamic.ts'
import { quantizeMixedOptions } from './quantize-mixed.ts'
import { quantizeStaticOptions } from './quantize-static.ts'
import { quantizeWeightsOptions } from './quantize-weights.ts'
import { simplifyOptions } from './simplify.ts'
import { tuneOptions } from './tune.ts'

export interface PassSchema {
  readonly title: string
  readonly options: TSchema
  /** What a job must give besides the model. */
  readonly needs: {
    readonly calibration?: true
    /** Says by the options (defaults filled in) what a step learns from. */
    readonly train?: (options: Readonly<Record<string, unknown>>) => TrainingNeed
  }
}

/** labels: a train dataset with labels. samples: a train or a calibration dataset. */
export type TrainingNeed = 'labels' | 'samples'

/** Every pass a recipe can name, with its options; the pass itself is in `passes/`, under the same name. */
export const passSchemas = {
  simplify: { title: 'Lossless rewrites, each proven on sample inputs', options: simplifyOptions, needs: {} },
  fp16: { title: 'float16 weights and arithmetic', options: fp16Options, needs: {} },
  bf16: { title: 'bfloat16 weights, float32 arithmetic', options: bf16Options, needs: {} },
  'quantize.dynamic': {
    title: 'int8 products, LSTMs and embeddings, ranges measured at run time',
    options: quantizeDynamicOptions,
    needs: {},
  },
  'quantize.static': {
    title: 'int8 with ranges from a calibration dataset',
    options: quantizeStaticOptions,
    needs: { calibration: true },
  },
  'quantize.mixed': {
    title: 'int8 where a quality budget allows it, layer by layer',
    options: quantizeMixedOptions,
    needs: { calibration: true },
  },
  'quantize.weights': {
    title: 'Weights of 2, 4 or 8 bits in blocks, activations in float',
    options: quantizeWeightsOptions,
    needs: {},
  },
  codebook: {
    title: 'Weights in 2 to 16 bits, uniform or not: a smaller file, the same speed',
    options: codebookOptions,
    needs: {},
  },
  'prune.unstructured': {
    title: 'Single weights set to 0: a smaller compressed file, the same speed',
    options: pruneUnstructuredOptions,
    needs: {},
  },
  'prune.nm': {
    title: 'n of every m weights, as in 2:4: a smaller compressed file, the same speed on CPUs',
    options: pruneNmOptions,
    needs: {},
  },
  'prune.structured': {
    title: 'Fewer channels, neurons and attention heads: shapes and work shrink',
    options: pruneStructuredOptions,
    needs: {},
  },
  'prune.depth': {
    title: 'Fewer residual blocks: a shallower model, for distillation to follow',
    options: pruneDepthOptions,
    needs: {},
  },
  factorize: {
    title: 'Layers of low rank split in two or three: less work on any runtime',
    options: factorizeOptions,
    needs: {},
  },
  finetune: {
    title: 'Training on labelled samples, of all weights or some',
    options: finetuneOptions,
    needs: { train: ({ withoutLabels }) => (withoutLabels === 'distill' ? 'samples' : 'labels') },
  },
  distill: {
    title: 'Training on what other models say, first of all the original; needs no labels',
    options: distillOptions,
    needs: { train: ({ alpha }) => (Number(alpha) > 0 ? 'labels' : 'samples') },
  },
  qat: {
    title: 'Training with quantization in the graph, then int8 or 4-bit weights as from quantize.static',
    options: qatOptions,
    needs: { train: ({ learnFrom }) => (learnFrom === 'labels' ? 'labels' : 'samples') },
  },
  auto: {
    title: 'The fastest technique inside a quality budget',
    options: autoOptions,
    needs: {},
  },
  tune: { title: 'Session options measured on this host', options: tuneOptions, needs: {} },
} as const satisfies Record<string, PassSchema>

export type PassName = keyof typeof passSchemas

export function isPassName(name: string): name is PassName {
  return Object.hasOwn(passSchemas, name)
}

import type { Recipe } from './schema.ts'

/** Recipes that exist without being stored, by name. */
export const builtinRecipes = {
  auto: {
    version: 1,
    name: 'auto',
    description:
      'Lossless rewrites, then the fastest technique that stays inside a quality budget on your calibration dataset.',
    steps: [
      { pass: 'simplify', options: {} },
      { pass: 'auto', options: {} },
    ],
  },
  lossless: {
    version: 1,
    name: 'lossless',
    description: 'Rewrites that leave every output as it was, each proven on sample inputs.',
    steps: [{ pass: 'simplify', options: {} }],
  },
  fp16: {
    version: 1,
    name: 'fp16',
    description: 'float16 weights: half the size. Faster on GPUs; on CPUs it saves storage only.',
    steps: [
      { pass: 'simplify', options: {} },
      { pass: 'fp16', options: {} },
    ],
  },
  bf16: {
    version: 1,
    name: 'bf16',
    description: 'bfloat16 weights: half the size with the range of float32, for storage; computed in float32.',
    steps: [
      { pass: 'simplify', options: {} },
      { pass: 'bf16', options: {} },
    ],
  },
  'int8-dynamic': {
    version: 1,
    name: 'int8-dynamic',
    description:
      'int8 products, LSTMs and embeddings, ranges measured at run time: no dataset needed. For transformers, MLPs and LSTMs.',
    steps: [
      // Weights of LSTMs are often put together in the graph: once folded they become int8, so growth is passing.
      { pass: 'simplify', options: { maxGrowthBytes: 2 ** 24 } },
      { pass: 'quantize.dynamic', options: {} },
    ],
  },
  'int8-static': {
    version: 1,
    name: 'int8-static',
    description: 'int8 convolutions and matrix products with ranges from a calibration dataset. For CNNs.',
    steps: [
      { pass: 'simplify', options: {} },
      { pass: 'quantize.static', options: {} },
    ],
  },
  'int8-mixed': {
    version: 1,
    name: 'int8-mixed',
    description:
      'int8-static with the layers left in float that hurt most and gain least, so that quality stays in budget.',
    steps: [
      { pass: 'simplify', options: {} },
      { pass: 'quantize.mixed', options: {} },
    ],
  },
  w8: {
    version: 1,
    name: 'w8',
    description: '8-bit weights in blocks, computed as this host does it fastest: a quarter of the size, almost exact.',
    steps: [
      { pass: 'simplify', options: {} },
      { pass: 'quantize.weights', options: { bits: 8 } },
    ],
  },
  w4: {
    version: 1,
    name: 'w4',
    description:
      '4-bit weights in blocks: about a sixth of the size. For transformers that answer one request at a time.',
    steps: [
      { pass: 'simplify', options: {} },
      { pass: 'quantize.weights', options: {} },
    ],
  },
  'prune-finetune': {
    version: 1,
    name: 'prune-finetune',
    description:
      'A quarter of the channels removed for real, then training on your labels; without labels the original teaches what is left.',
    steps: [
      { pass: 'simplify', options: {} },
      { pass: 'prune.structured', options: {} },
      { pass: 'finetune', options: { withoutLabels: 'distill' } },
    ],
  },
  'distill-small': {
    version: 1,
    name: 'distill-small',
    description: 'A student of half the width, taught by the original on samples that need no labels.',
    steps: [
      { pass: 'simplify', options: {} },
      { pass: 'prune.structured', options: { ratio: 0.5 } },
      { pass: 'distill', options: { epochs: 10 } },
    ],
  },
  'qat-int8': {
    version: 1,
    name: 'qat-int8',
    description:
      'int8-static whose weights are trained with the rounding in the graph, on your labels or by the original.',
    steps: [
      { pass: 'simplify', options: {} },
      { pass: 'qat', options: {} },
    ],
  },
  'prune-distill-int8': {
    version: 1,
    name: 'prune-distill-int8',
    description: 'Fewer channels, taught by the original, then int8 with ranges from the calibration dataset.',
    steps: [
      { pass: 'simplify', options: {} },
      { pass: 'prune.structured', options: {} },
      { pass: 'distill', options: {} },
      { pass: 'quantize.static', options: {} },
    ],
  },
} as const satisfies Record<string, Recipe>

export type BuiltinRecipeName = keyof typeof builtinRecipes

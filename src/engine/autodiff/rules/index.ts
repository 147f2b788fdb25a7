import type { RuleTable } from '../rule.ts'
import { activations } from './activations.ts'
import { arithmetic } from './arithmetic.ts'
import { convolutions } from './convolution.ts'
import { contractions } from './einsum.ts'
import { indexing } from './indexing.ts'
import { movement } from './movement.ts'
import { normalization } from './normalization.ts'
import { pointwise } from './pointwise.ts'
import { pooling } from './pooling.ts'
import { products } from './products.ts'
import { quantization } from './quantization.ts'
import { recurrent } from './recurrent.ts'
import { reductions } from './reductions.ts'
import { resizing } from './resize.ts'
import { softmaxes } from './softmax.ts'

/** The gradient of every differentiable operator of ai.onnx, by op type. */
export const gradientRules = {
  ...activations,
  ...arithmetic,
  ...contractions,
  ...convolutions,
  ...indexing,
  ...movement,
  ...normalization,
  ...pointwise,
  ...pooling,
  ...products,
  ...quantization,
  ...recurrent,
  ...reductions,
  ...resizing,
  ...softmaxes,
} satisfies RuleTable

import type { Model } from '../../ir/model.ts'
import type { PassContext, PassOptions } from '../pass.ts'
import { chooseLevel, type AccuracyLevel, type LevelChoice, type ProductShape } from './accuracy-level.ts'
import type { BlockWeight } from './blocks.ts'
import { observeRows } from './observe-rows.ts'
import type { WeightTarget } from './targets.ts'

interface Level {
  readonly level: AccuracyLevel
  /** What to say about it. */
  readonly reason: string
  /** Whether float weights were measured to be faster. */
  readonly isSlower: boolean
}

export interface LevelTable {
  readonly of: (target: WeightTarget) => Level
}

const fixed: Readonly<Record<'float32' | 'int8', Level>> = {
  float32: { level: 1, reason: 'computed in float32, as the options say', isSlower: false },
  int8: { level: 4, reason: 'activations rounded to int8, as the options say', isSlower: false },
}

/** Differences below this share are noise. */
const margin = 1.05

/** The accuracy level of each product: what the options say, or the faster by measurement, once for each shape. */
export async function chooseLevels(
  model: Model,
  targets: readonly WeightTarget[],
  weights: ReadonlyMap<WeightTarget, BlockWeight>,
  options: PassOptions<'quantize.weights'>,
  context: PassContext,
): Promise<LevelTable> {
  const { accuracyLevel } = options
  if (accuracyLevel !== 'auto') return { of: () => fixed[accuracyLevel] }
  const products = targets.filter(({ kind }) => kind === 'product')
  const rows = await observeRows(model, new Set(products.map(({ input }) => input.name)), context)
  const shapes = new Map(
    products.map((target) => [target, shapeOf(target, weights.get(target), rows.get(target.input.name) ?? 1)]),
  )
  const distinct = new Map([...shapes.values()].map((shape) => [keyOf(shape), shape]))
  const levels = new Map<string, Level>()
  for (const [key, shape] of distinct) {
    levels.set(key, describe(await chooseLevel(shape, options.measureMs / distinct.size, context), shape))
  }
  return {
    of: (target) => {
      const shape = shapes.get(target)
      return (shape === undefined ? undefined : levels.get(keyOf(shape))) ?? fixed.float32
    },
  }
}

function shapeOf({ rows, depth }: WeightTarget, weight: BlockWeight | undefined, samples: number): ProductShape {
  const { bits = 4, blockSize = 32, zeroPoints } = weight ?? {}
  return { rows, depth, bits, blockSize, hasZeroPoints: zeroPoints !== undefined, samples: Math.max(1, samples) }
}

function keyOf({ rows, depth, samples }: ProductShape): string {
  return `${samples}x${depth}x${rows}`
}

function describe({ level, float, chosen }: LevelChoice, shape: ProductShape): Level {
  const how = level === 4 ? 'activations rounded to int8' : 'computed in float32'
  const measured = `${chosen.toFixed(3)} ms against ${float.toFixed(3)} ms with float weights`
  return {
    level,
    reason: `${how}: ${measured} (${keyOf(shape)}, measured on this host)`,
    isSlower: chosen > float * margin,
  }
}

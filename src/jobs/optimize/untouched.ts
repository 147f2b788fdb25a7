import type { Recipe, RecipeNote } from '../../engine/index.ts'

/** Passes that change layers one by one and note each that they considered. */
const layerPasses = /^(quantize\..*|fp16|bf16|codebook|factorize)$/

/**
 * Why the steps that should change layers changed none, as a clause; undefined where one did, or where the recipe has
 * no such step. What is left of the recipe are lossless rewrites, and whoever reads the verdict must know.
 */
export function describeUntouched({ steps }: Pick<Recipe, 'steps'>, notes: readonly RecipeNote[]): string | undefined {
  const names = steps.map(({ pass }) => pass).filter((pass) => pass !== 'simplify')
  if (names.length === 0 || !names.every((pass) => layerPasses.test(pass))) return undefined
  const own = notes.filter(({ pass }) => names.some((name) => name === pass))
  if (own.some(({ action }) => action === 'done')) return undefined
  const skipped = own.filter(({ action }) => action === 'skipped')
  const groups = Map.groupBy(skipped, ({ cause, reason }) => cause ?? reason)
  const [largest] = [...groups.values()].toSorted((a, b) => b.length - a.length)[0] ?? []
  const step = names.join(' and ')
  if (largest === undefined) return `${step} has no form for any operator of this model`
  const { node, op, reason } = largest
  if (node === undefined) return `${step} left the model as it was: ${reason}`
  const example = op === undefined ? '' : `, ${op} for example`
  return `${step} left all ${skipped.length} layers it considered in float${example}: ${reason}`
}

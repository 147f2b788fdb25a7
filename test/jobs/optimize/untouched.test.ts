import { describe, expect, test } from 'vitest'
import type { RecipeNote } from '../../../src/engine/index.ts'
import { parseRecipe } from '../../../src/engine/schemas.ts'
import { describeUntouched } from '../../../src/jobs/optimize/untouched.ts'

const recipeOf = (...passes: string[]) => parseRecipe({ version: 1, steps: passes.map((pass) => ({ pass })) })
const int8 = recipeOf('simplify', 'quantize.static')

function note(action: RecipeNote['action'], changes: Partial<RecipeNote> = {}): RecipeNote {
  return { pass: 'quantize.static', action, node: 'conv1', op: 'Conv', reason: 'runs in int8', ...changes }
}

describe('a recipe whose steps changed no layer', () => {
  test('has no form for the operators of a model of trees', () => {
    const rewritten = note('done', { pass: 'simplify', op: 'Identity' })
    expect(describeUntouched(int8, [rewritten])).toBe('quantize.static has no form for any operator of this model')
  })

  test('says what most layers have in common', () => {
    const slower = (micros: number) =>
      note('skipped', { cause: 'slower', reason: `the oracle says slower: ${micros} µs against 1 µs on this host` })
    const notes = [note('skipped', { reason: 'excluded by the options', cause: 'excluded' }), slower(2), slower(3)]
    expect(describeUntouched(int8, notes)).toBe(
      'quantize.static left all 3 layers it considered in float, Conv for example: the oracle says slower: 2 µs against 1 µs on this host',
    )
  })

  test('gives a reason that is about the whole model', () => {
    const declined: RecipeNote = { pass: 'quantize.static', action: 'skipped', reason: 'its opset is 9' }
    expect(describeUntouched(int8, [declined])).toBe('quantize.static left the model as it was: its opset is 9')
  })
})

test('one changed layer is enough to be what the recipe says', () => {
  expect(describeUntouched(int8, [note('skipped'), note('done')])).toBeUndefined()
})

test.each([[recipeOf('simplify')], [recipeOf('simplify', 'tune')], [recipeOf('simplify', 'auto')]])(
  'recipes that change no layers one by one have nothing to explain',
  (recipe) => {
    expect(describeUntouched(recipe, [])).toBeUndefined()
  },
)

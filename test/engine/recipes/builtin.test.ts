import { Errors } from 'typebox/value'
import { expect, test } from 'vitest'
import { builtinRecipes } from '../../../src/engine/recipes/builtin.ts'
import { recipeNeeds } from '../../../src/engine/recipes/needs.ts'
import { parseRecipe } from '../../../src/engine/recipes/parse.ts'
import { recipeSchema } from '../../../src/engine/recipes/schema.ts'

test('every built-in recipe parses under its own name and fits the schema for editors', () => {
  for (const [name, recipe] of Object.entries(builtinRecipes)) {
    expect(parseRecipe(recipe).name).toBe(name)
    expect(Errors(recipeSchema, recipe)).toEqual([])
  }
})

test('only recipes with static quantization need calibration data', () => {
  const needing = Object.values(builtinRecipes).filter((recipe) => recipeNeeds(recipe).calibration)
  expect(needing.map((recipe) => recipe.name)).toEqual(['int8-static', 'int8-mixed', 'prune-distill-int8'])
})

test('the schema for editors is closed and describes every option', () => {
  const text = JSON.stringify(recipeSchema)
  expect(JSON.parse(text)).toMatchObject({ additionalProperties: false })
  expect(Errors(recipeSchema, { version: 1, steps: [{ pass: 'fp16', options: { keep: 1 } }] })).not.toEqual([])
  const steps = recipeSchema.properties.steps as unknown as { items: { anyOf: StepSchema[] } }
  for (const step of steps.items.anyOf) {
    for (const [key, option] of Object.entries(step.properties.options.properties)) {
      expect(option.description ?? option.properties, key).toBeDefined()
    }
  }
})

interface StepSchema {
  properties: { options: { properties: Record<string, { description?: string; properties?: object }> } }
}

import { expect, test } from 'vitest'
import { HastenError } from '../../../src/errors.ts'
import { parseRecipe, type RecipeOrigin } from '../../../src/engine/recipes/parse.ts'

const yaml = `version: 1
name: cnn-int8
steps:
  - pass: simplify
  - pass: quantize.static
    options:
      perChannel: false
      calibration: { samples: 32 }
`

function faultOf(input: string | object, origin?: RecipeOrigin): HastenError {
  try {
    parseRecipe(input, origin)
  } catch (error) {
    if (error instanceof HastenError) return error
    throw error
  }
  throw new Error('the recipe was accepted')
}

test('a YAML recipe gets its defaults filled in, nested ones included', () => {
  const recipe = parseRecipe(yaml)
  expect(recipe.name).toBe('cnn-int8')
  expect(recipe.steps.map((step) => step.pass)).toEqual(['simplify', 'quantize.static'])
  expect(recipe.steps[0]?.options).toEqual({ maxGrowthBytes: 2 ** 20, prove: true, skip: [] })
  expect(recipe.steps[1]?.options).toMatchObject({
    activations: 'auto',
    weights: 'auto',
    perChannel: false,
    calibration: { method: 'minmax', samples: 32, batch: 8 },
    exclude: [],
  })
})

test('JSON text and an object give the same recipe as YAML', () => {
  const object = {
    version: 1,
    name: 'cnn-int8',
    steps: [
      { pass: 'simplify' },
      { pass: 'quantize.static', options: { perChannel: false, calibration: { samples: 32 } } },
    ],
  }
  expect(parseRecipe(JSON.stringify(object))).toEqual(parseRecipe(yaml))
  expect(parseRecipe(object)).toEqual(parseRecipe(yaml))
})

test('parsing leaves an object as it was', () => {
  const object = { version: 1, steps: [{ pass: 'simplify', options: {} }] }
  parseRecipe(object)
  expect(object).toEqual({ version: 1, steps: [{ pass: 'simplify', options: {} }] })
})

test.each([
  ['an unknown key at the top', 'version: 1\nstesp: []\nsteps:\n  - pass: simplify\n', '/stesp', 2, 1],
  [
    'an unknown option',
    'version: 1\nsteps:\n  - pass: fp16\n    options:\n      keepIo: true\n',
    '/steps/0/options/keepIo',
    5,
    7,
  ],
  [
    'a wrong type',
    'version: 1\nsteps:\n  - pass: tune\n    options: { threads: four }\n',
    '/steps/0/options/threads',
    4,
    16,
  ],
  ['an unknown pass', 'version: 1\nsteps:\n  - pass: simplify\n  - pass: shrink\n', '/steps/1/pass', 4, 5],
  ['a wrong version', 'version: 2\nsteps:\n  - pass: simplify\n', '/version', 1, 1],
  [
    'a value that is not among those allowed',
    'version: 1\nsteps:\n  - pass: quantize.static\n    options:\n      calibration: { method: guess }\n',
    '/steps/0/options/calibration/method',
    5,
    22,
  ],
  ['no steps', 'version: 1\n', '', 1, 1],
  [
    'a list item out of range',
    '{"version":1,\n"steps":[{"pass":"tune","options":{"threads":[1,\n0]}}]}',
    '/steps/0/options/threads/1',
    3,
    1,
  ],
])('%s is refused with pointer, line and column', (_what, text, pointer, line, column) => {
  const fault = faultOf(text)
  expect(fault.code).toBe('recipe_invalid')
  expect(fault.errors).toHaveLength(1)
  expect(fault.errors[0]).toMatchObject({ pointer, line, column })
  expect(fault.message).toContain(`line ${line}`)
})

test('every fault is listed, not only the first', () => {
  const fault = faultOf({ version: 1, extra: 1, steps: [{ pass: 'simplify', options: { prove: 'yes' } }], more: 2 })
  expect(fault.errors.map((item) => item.pointer)).toEqual(['/extra', '/more'])
  const options = faultOf({ version: 1, steps: [{ pass: 'simplify', options: { prove: 'yes', skip: 1 } }] })
  expect(options.errors.map((item) => item.pointer)).toEqual(['/steps/0/options/prove', '/steps/0/options/skip'])
})

test('a key with a slash or tilde is found by its escaped pointer', () => {
  const fault = faultOf('version: 1\nsteps:\n  - pass: simplify\n"a/b~c": 1\n')
  expect(fault.errors[0]).toMatchObject({ pointer: '/a~1b~0c', line: 4, detail: "unknown key 'a/b~c'" })
})

test.each([
  ['broken YAML', 'version: 1\nsteps: [', 'recipe_invalid'],
  ['a duplicate key', 'version: 1\nversion: 1\nsteps: []', 'recipe_invalid'],
  ['a custom tag', 'version: !!js/function 1\nsteps: []', 'recipe_invalid'],
  ['a scalar', '42', 'recipe_invalid'],
  ['an empty text', '', 'recipe_invalid'],
  ['a prototype key', '{"__proto__": {"version": 1}}', 'recipe_invalid'],
  ['a text over the size limit', `# ${'x'.repeat(70_000)}`, 'recipe_invalid'],
  [
    'an alias bomb',
    `a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [${'*a,'.repeat(9)}*a]\nc: &c [${'*b,'.repeat(9)}*b]\nd: [${'*c,'.repeat(9)}*c]`,
    'recipe_invalid',
  ],
])('%s is refused', (_what, text, code) => {
  expect(faultOf(text).code).toBe(code)
})

test('a fault of an object is found in the document that the object came from', () => {
  const recipe = { version: 1, steps: [{ pass: 'simplify', options: { a: 1 } }] }
  const text = JSON.stringify({ model: 'm', job: { recipe } }, undefined, 2)
  const { message, errors } = faultOf(recipe, { text, pointer: '/job/recipe' })
  expect(errors).toMatchObject([{ pointer: '/job/recipe/steps/0/options/a', line: 10, column: 13 }])
  expect(message).toMatch(/^line 10, \/job\/recipe\/steps\/0\/options\/a: unknown key 'a'/)
  // Without the text, or with too much of it to read again, the pointer has to do.
  for (const other of ['', `${text}${' '.repeat(70_000)}`]) {
    const [error] = faultOf(recipe, { text: other, pointer: '/job/recipe' }).errors
    expect(error).toEqual({ pointer: '/job/recipe/steps/0/options/a', detail: "unknown key 'a'" })
  }
})

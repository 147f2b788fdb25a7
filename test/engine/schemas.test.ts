import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { builtinRecipes, parseRecipe, passSchemas } from '../../src/engine/schemas.ts'
import { passes } from '../../src/engine/passes/index.ts'

const entry = path.join(import.meta.dirname, '../../src/engine/schemas.ts')

/** Files and packages that a module loads at run time, its imports' imports included. */
function loadedBy(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen
  seen.add(file)
  const text = readFileSync(file, 'utf8')
  for (const [, type, source] of text.matchAll(/^(?:import|export) (type )?[^'"]*?from '([^']+)'/gm)) {
    if (type !== undefined || source === undefined) continue
    if (source.startsWith('.')) loadedBy(path.resolve(path.dirname(file), source), seen)
    else seen.add(source)
  }
  return seen
}

test('the schemas load neither the IR, nor the codec, nor a runtime, so the API can import them', () => {
  const loaded = [...loadedBy(entry)].map((file) => path.relative(path.dirname(entry), file))
  expect(loaded.length).toBeGreaterThan(10)
  const heavy = loaded.filter((file) =>
    /^(ir|onnx|ops|analysis|rewrite|data|measure|calibrate)\/|runtime\/(ort|port)|koffi|onnxruntime/.test(file),
  )
  expect(heavy).toEqual([])
})

test('every pass that a recipe can name exists under its name, and the other way round', () => {
  expect(Object.keys(passes)).toEqual(Object.keys(passSchemas))
  for (const [name, pass] of Object.entries(passes)) expect(pass.name).toBe(name)
  for (const recipe of Object.values(builtinRecipes)) {
    for (const { pass } of parseRecipe(recipe).steps) expect(passes).toHaveProperty([pass])
  }
})

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { parse } from 'yaml'
import { expect, test } from 'vitest'
import { gradientRules } from '../src/engine/autodiff/index.ts'
import { opDefinition } from '../src/engine/ops/index.ts'
import { passSchemas, parseRecipe } from '../src/engine/schemas.ts'
import { errorTable } from '../src/errors.ts'

const page = readFileSync(path.resolve(import.meta.dirname, '../docs/training.md'), 'utf8')

/** The lines of a section. */
const section = (title: string) => page.split(`## ${title}\n`)[1]!.split('\n## ')[0]!.split('\n')
const quoted = (text: string) => [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1]!)
const cells = (line: string) => line.split('|').slice(1, -1)

test('every recipe on the page is one', () => {
  const recipes = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map((match) => parse(match[1]!) as object)
  expect(recipes).toHaveLength(3)
  for (const recipe of recipes) expect(() => parseRecipe(recipe)).not.toThrow()
})

test('the operators that are said to have no gradient have none', () => {
  const listed = section('What can be trained')
    .filter((line) => line.startsWith('- '))
    .join('\n')
  const names = quoted(listed).filter((name) => !['qat'].includes(name))
  expect(names.length).toBeGreaterThan(25)
  expect(names.filter((name) => Object.hasOwn(gradientRules, name))).toEqual([])
  const known = (opType: string) =>
    ['', 'com.microsoft'].some((domain) => opDefinition({ domain, opType }) !== undefined)
  expect(names.filter((name) => !known(name))).toEqual([])
})

test('every code that can go wrong is an error of ours', () => {
  const codes = section('What goes wrong')
    .filter((line) => line.startsWith('| `'))
    .map((line) => quoted(line)[0]!)
  expect(codes.length).toBeGreaterThan(5)
  expect(codes.filter((code) => !Object.hasOwn(errorTable, code))).toEqual([])
})

test('the defaults are those of the schema, and every option is there', () => {
  const { properties } = passSchemas.finetune.options
  const rows = section('Options')
    .filter((line) => line.startsWith('| `'))
    .map((line) => cells(line))
  const named = rows.flatMap(([names = '']) => quoted(names))
  expect(named.toSorted()).toEqual(
    Object.keys(properties)
      .filter((name) => name !== 'withoutLabels')
      .toSorted(),
  )
  for (const [names = '', defaults = ''] of rows) {
    const numbers = [...defaults.matchAll(/[\d.]+/g)].map(Number)
    quoted(names).forEach((name, index) => {
      const { default: value } = properties[name as keyof typeof properties] as { default?: unknown }
      if (typeof value === 'number') expect(numbers[index], name).toBe(value)
    })
  }
})

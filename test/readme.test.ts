import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { withTable } from '../scripts/settings-table.ts'

const root = path.resolve(import.meta.dirname, '..')
const readme = readFileSync(path.join(root, 'README.md'), 'utf8')

test('the configuration table lists exactly the settings', () => {
  expect(readme).toBe(withTable(readme))
})

test('every file that README links to is there', () => {
  const links = [...readme.matchAll(/\]\((?!http)([^)#]+)\)/g)].map((match) => match[1]!)
  expect(links.length).toBeGreaterThan(5)
  for (const link of links) expect(() => readFileSync(path.join(root, link.replace(/\/$/, '/README.md')))).not.toThrow()
})

test('every npm script that README names exists', () => {
  const { scripts } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>
  }
  const named = [...readme.matchAll(/npm run ([a-z:]+)/g)].map((match) => match[1]!)
  expect(named.filter((name) => scripts[name] === undefined)).toEqual([])
})

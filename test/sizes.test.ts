import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'

const root = path.resolve(import.meta.dirname, '..')

/** Tables, where one line is one row; a limit on their length would only cut them at a random place. */
const tables = ['src/errors.ts', 'src/config.ts']

const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard', 'src'], { cwd: root, encoding: 'utf8' })
  .split('\n')
  .filter(
    (name) =>
      name.endsWith('.ts') &&
      !name.includes('generated') &&
      !tables.includes(name) &&
      !name.startsWith('src/engine/ops/'),
  )

const sizes = files
  .map((name) => ({ name, lines: readFileSync(path.join(root, name), 'utf8').split('\n').length - 1 }))
  .toSorted((a, b) => a.lines - b.lines)

const quantile = (q: number) => sizes[Math.min(sizes.length - 1, Math.floor(q * sizes.length))]!.lines

// Longest function and deepest nesting are the linter's (max-lines-per-function, max-depth).
describe('file sizes', () => {
  test('median at most 120 lines, nine tenths at most 250, none over 400', () => {
    expect(files.length).toBeGreaterThan(40)
    expect(quantile(0.5)).toBeLessThanOrEqual(120)
    expect(quantile(0.9)).toBeLessThanOrEqual(250)
    expect(sizes.filter(({ lines }) => lines > 400)).toEqual([])
  })
})

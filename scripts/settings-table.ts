// Writes the settings of src/config.ts as the table of README.md. A test fails when the two differ.
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { loadConfig, printConfig, settings } from '../src/config.ts'

const begin = '<!-- settings -->'
const end = '<!-- /settings -->'

/** Markdown rows: variable, default, meaning. */
export function settingsTable(): string {
  const defaults = printConfig(loadConfig({})).map((line) => line.slice(line.indexOf('=') + 1))
  const rows = Object.values(settings).map(
    ({ env, help }, index) => `| \`${env}\` | ${defaults[index] ?? ''} | ${help} |`,
  )
  return ['| variable | default | meaning |', '| --- | --- | --- |', ...rows].join('\n')
}

/** README's text with the table between its two marks. */
export function withTable(readme: string): string {
  const before = readme.slice(0, readme.indexOf(begin) + begin.length)
  const after = readme.slice(readme.indexOf(end))
  return `${before}\n${settingsTable()}\n${after}`
}

if (import.meta.main) {
  const file = path.resolve(import.meta.dirname, '../README.md')
  writeFileSync(file, withTable(readFileSync(file, 'utf8')))
}

// Writes docs/openapi.json and docs/errors.md from the code. A test fails when they are not what this would write.
import { readFileSync, writeFileSync } from 'node:fs'
import { renderErrorMarkdown } from '../src/api/error-table.ts'
import { describeApi } from '../src/api/describe.ts'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }

const write = (name: string, text: string) => writeFileSync(new URL(`../docs/${name}`, import.meta.url), text)

write('openapi.json', await describeApi(version))
write('errors.md', renderErrorMarkdown())

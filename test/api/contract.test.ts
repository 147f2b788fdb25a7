import { readFileSync } from 'node:fs'
import { Validator } from '@seriousme/openapi-schema-validator'
import { beforeAll, describe, expect, it } from 'vitest'
import { describeApi } from '../../src/api/describe.ts'
import { renderErrorMarkdown } from '../../src/api/error-table.ts'
import { errorTable } from '../../src/errors.ts'

interface Operation {
  operationId: string
  tags: string[]
  summary: string
  security?: unknown[]
  parameters?: { name: string; in: string; schema: { additionalProperties?: unknown } }[]
  responses: Record<string, { 'x-error-codes'?: string[]; content?: Record<string, unknown> }>
}

const readDocs = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

let text: string
let document: { openapi: string; paths: Record<string, Record<string, Operation>>; components: { schemas: object } }
const operations = () =>
  Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([verb, operation]) => Object.assign({ path, verb }, operation)),
  )

beforeAll(async () => {
  text = await describeApi(version)
  document = JSON.parse(text) as typeof document
})

describe('the OpenAPI document', () => {
  it('is valid OpenAPI 3.1', async () => {
    const { valid, errors } = await new Validator().validate(structuredClone(document))
    expect(errors).toBeUndefined()
    expect(valid).toBe(true)
    expect(document.openapi).toBe('3.1.0')
  })

  it('is what docs/openapi.json holds', () => {
    expect(readDocs('openapi.json'), 'run npm run openapi').toBe(text)
  })

  it('gives every operation a unique id, a tag and a summary', () => {
    const ids = operations().map(({ operationId }) => operationId)
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids.length).toBeGreaterThan(50)
    for (const { path, tags, summary } of operations()) {
      expect(tags, path).toHaveLength(1)
      expect(summary, path).toMatch(/^.{5,}$/)
    }
  })

  it('has no reference into nowhere', () => {
    const known = Object.keys(document.components.schemas)
    const names = [...text.matchAll(/#\/components\/schemas\/(\w+)/g)].map(([, name]) => name ?? '')
    expect(names.filter((name) => !known.includes(name))).toEqual([])
  })

  it('says of every /v1 operation that it needs a key and what it answers without one', () => {
    const v1 = operations().filter(({ path }) => path.startsWith('/v1/'))
    expect(v1.length).toBeGreaterThan(35)
    for (const { path, verb, security, responses } of v1) {
      expect(security, `${verb} ${path}`).toEqual([{ key: [] }])
      expect(responses['401']?.['x-error-codes'], `${verb} ${path}`).toEqual(['unauthorized'])
    }
  })

  it('describes a success of every operation', () => {
    for (const { path, verb, responses } of operations()) {
      expect(
        Object.keys(responses).filter((status) => status.startsWith('2')),
        `${verb} ${path}`,
      ).not.toEqual([])
    }
  })
})

describe('the error table', () => {
  const codes = Object.keys(errorTable)

  it('is what docs/errors.md holds', () => {
    expect(readDocs('errors.md'), 'run npm run openapi').toBe(renderErrorMarkdown())
  })

  it('has a row in docs/errors.md for each code, and no other', () => {
    const rows = [...readDocs('errors.md').matchAll(/^\| `(\w+)` \| (\d+) \|/gm)]
    expect(rows.map(([, code]) => code)).toEqual(codes)
    for (const [, code, status] of rows) {
      expect(Number(status)).toBe(errorTable[code as keyof typeof errorTable].status)
    }
  })

  it('is the list of codes of the OpenAPI document', () => {
    const schemas = document.components.schemas as Record<string, { enum?: string[] }>
    expect(schemas['ErrorCode']?.enum).toEqual(codes)
  })

  it('has every code an operation names, under the status of its row', () => {
    for (const { path, responses } of operations()) {
      for (const [status, response] of Object.entries(responses)) {
        for (const code of response['x-error-codes'] ?? []) {
          expect(String(errorTable[code as keyof typeof errorTable]?.status), `${path} ${code}`).toBe(status)
        }
      }
    }
  })

  it('is answered somewhere, or belongs to a failed job', () => {
    const answered = new Set(
      operations().flatMap(({ responses }) => Object.values(responses).flatMap((r) => r['x-error-codes'] ?? [])),
    )
    // What only a job, a worker or a serve process meets: it reaches clients inside a job or a deployment.
    const embedded = [
      'model_load_failed',
      'model_run_failed',
      'golden_mismatch',
      'model_crashed',
      'model_too_large',
      'dataset_mismatch',
      'job_canceled',
      'job_deadline',
      'worker_lost',
      'child_crashed',
      'pass_failed',
      'not_differentiable',
      'training_diverged',
      'teacher_mismatch',
      'checkpoint_mismatch',
      'measurement_failed',
      'session_option_invalid',
      'config_invalid',
      'not_implemented',
      'output_not_json',
      'method_not_allowed',
    ]
    const silent = codes.filter((code) => !answered.has(code))
    expect(silent.filter((code) => !embedded.includes(code))).toEqual([])
  })
})

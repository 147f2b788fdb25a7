import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { isLoopback, loadConfig, printConfig, settings } from '../src/config.ts'
import { HastenError } from '../src/errors.ts'

function refusal(environment: Record<string, string>): HastenError {
  try {
    loadConfig(environment)
  } catch (error) {
    if (error instanceof HastenError) return error
  }
  throw new Error('the configuration was accepted')
}

describe('loadConfig', () => {
  test('an empty environment gives every default, frozen', () => {
    const config = loadConfig({})
    expect(config).toMatchObject({ host: '127.0.0.1', port: 8080, auth: 'keys', databaseUrl: undefined })
    expect(Object.keys(config)).toEqual(Object.keys(settings))
    expect(Object.isFrozen(config)).toBe(true)
  })

  test.each([
    ['PORT', '9090', 'port', 9090],
    ['CACHE_BYTES', '1.5GiB', 'cacheBytes', 1.5 * 2 ** 30],
    ['CACHE_BYTES', '2GB', 'cacheBytes', 2e9],
    ['DEVICE_CLASSES', 'cpu, cuda', 'deviceClasses', ['cpu', 'cuda']],
    ['WORKER_LABELS', 'rack=a,gpu=l4', 'workerLabels', { rack: 'a', gpu: 'l4' }],
    ['WEBHOOK_PRIVATE', 'true', 'webhookPrivate', true],
    ['OTEL_TRACES_SAMPLER_ARG', '0.25', 'traceShare', 0.25],
  ])('%s=%s', (env, value, name, expected) => {
    expect(loadConfig({ [env]: value })[name as 'port']).toEqual(expected)
  })

  test.each([
    ['PORT', '80a'],
    ['CACHE_BYTES', '10 parsecs'],
    ['AUTH', 'maybe'],
    ['WORKER_LABELS', 'rack'],
    ['WEBHOOK_PRIVATE', 'yes'],
    ['OTEL_TRACES_SAMPLER_ARG', '2'],
  ])('%s=%s is refused and named', (env, value) => {
    const error = refusal({ [env]: value })
    expect(error.code).toBe('config_invalid')
    expect(error.errors.map(({ pointer }) => pointer)).toEqual([`/${env}`])
  })

  test('every wrong setting is reported at once', () => {
    expect(refusal({ PORT: 'x', LOG_LEVEL: 'loud' }).errors).toHaveLength(2)
  })

  test('AUTH=none needs a loopback bind', () => {
    expect(refusal({ AUTH: 'none', HOST: '0.0.0.0' }).message).toContain('loopback')
    expect(loadConfig({ AUTH: 'none' }).auth).toBe('none')
  })

  test('a secret comes from the file that *_FILE names, other settings do not', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'hasten-config-'))
    const file = path.join(folder, 'url')
    writeFileSync(file, 'postgres://u:p@h/db\n')
    expect(loadConfig({ DATABASE_URL_FILE: file }).databaseUrl).toBe('postgres://u:p@h/db')
    expect(loadConfig({ HOST_FILE: file }).host).toBe('127.0.0.1')
    rmSync(folder, { recursive: true })
  })
})

describe('printConfig', () => {
  test('names every variable and no secret', () => {
    const lines = printConfig(loadConfig({ DATABASE_URL: 'postgres://u:hunter2@h/db', WORKER_LABELS: 'rack=a' }))
    expect(lines).toHaveLength(Object.keys(settings).length)
    expect(lines).toContain('DATABASE_URL=(set)')
    expect(lines).toContain('WORKER_LABELS=rack=a')
    expect(lines.join('\n')).not.toContain('hunter2')
  })
})

test.each([
  ['127.0.0.1', true],
  ['127.8.0.1', true],
  ['::1', true],
  ['localhost', true],
  ['0.0.0.0', false],
  ['10.0.0.1', false],
])('isLoopback(%s) is %s', (host, expected) => {
  expect(isLoopback(host)).toBe(expected)
})

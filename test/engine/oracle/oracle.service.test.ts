import { mkdtemp, readdir, rm, writeFile, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { cloneModel, loadModel, tensorOf, type Model } from '../../../src/engine/index.ts'
import { createOracle, openKernelCache, type KernelCache } from '../../../src/engine/oracle/index.ts'
import { createOrtRuntime } from '../../../src/engine/runtime/ort/index.ts'
import { buildMicroModel } from '../../../src/engine/oracle/micro-model.ts'
import { kernelForms, keyOf, type Kernel, type Timed } from '../../../src/engine/oracle/kernel.ts'
import { liftConstants } from '../../../src/engine/rewrite/lift-constants.ts'
import { ocrModels } from '../../support/models.ts'

const runtime = {
  url: new URL('../../../src/engine/runtime/ort/index.ts', import.meta.url).href,
  factory: 'createOrtRuntime',
}
const host = { cpu: 'test', isa: ['avx2'], ort: '1.30.0', threads: 1 }
const digits = path.resolve(import.meta.dirname, '../../../examples/digits/digits.onnx')
const dims = new Map([['image', [1, 1, 28, 28]]])

let folder: string
let cache: KernelCache
let model: Model

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'hasten-oracle-'))
  cache = openKernelCache(folder, host)
  model = await loadModel(digits)
})
afterAll(async () => rm(folder, { recursive: true, force: true }))

const adapter = createOrtRuntime()
afterAll(async () => adapter.close())

const nodesOf = (opType: string) => [...model.graph.nodes].filter((node) => node.opType === opType)

describe('the oracle', () => {
  test('says that a convolution in dynamic int8 is slower, and by how much', async () => {
    const oracle = createOracle({ host, runtime, cache, budgetMs: 30_000 })
    const advice = await oracle.consult(model, dims, ['dynamic'])
    // ConvInteger takes several times as long as a float convolution on every x64 CPU.
    const conv = nodesOf('Conv')[2]!
    expect(advice.slower(conv, 'dynamic')).toMatch(/^the oracle says slower: [\d.]+ µs against [\d.]+ µs on this host$/)
    expect(advice.slower(conv, 'qdq-u8s8')).toBeUndefined()
    expect(advice.timesOf(nodesOf('Relu')[0]!)).toBeUndefined()
  })

  test('remembers what it measured, and asks only for what is missing', async () => {
    const before = await cache.read([])
    expect(Object.keys(before).length).toBeGreaterThan(3)
    const broken = { url: 'file:///no/such/runtime.js', factory: 'none' }
    const again = createOracle({ host, runtime: broken, cache })
    await again.consult(model, dims, ['dynamic'])
    expect(await cache.read([])).toEqual(before)
    await expect(again.consult(model, dims, ['qdq-u8s8'])).rejects.toThrow(/runtime/)
  })

  test('times kernels in float, and remembers them', async () => {
    const narrow: Kernel = { op: 'MatMul', rows: 64, inner: 256, columns: 64 }
    const wide: Kernel = { ...narrow, columns: 1024 }
    const times = await createOracle({ host, runtime, cache, budgetMs: 30_000 }).time([narrow, wide, narrow])
    expect(times.size).toBe(2)
    expect(times.get(keyOf(wide))).toBeGreaterThan(times.get(keyOf(narrow)) ?? 0)
    const broken = { url: 'file:///no/such/runtime.js', factory: 'none' }
    expect(await createOracle({ host, runtime: broken, cache }).time([wide])).toEqual(
      new Map([[keyOf(wide), times.get(keyOf(wide))]]),
    )
  })

  test('measures what conversions cost, once', async () => {
    const costs = await createOracle({ host, runtime, cache, budgetMs: 30_000 }).boundaries()
    for (const elements of [1, 4096, 1e6]) {
      expect(costs.quantize(elements)).toBeGreaterThanOrEqual(0)
      expect(costs.dequantize(elements)).toBeGreaterThanOrEqual(0)
    }
    const broken = { url: 'file:///no/such/runtime.js', factory: 'none' }
    const again = await createOracle({ host, runtime: broken, cache }).boundaries()
    expect(again.quantize(5000)).toBe(costs.quantize(5000))
  })

  test('times a whole model as it times kernels', async () => {
    const feeds = { image: tensorOf('float32', [1, 1, 28, 28], new Float32Array(784)) }
    const micros = await createOracle({ host, runtime, cache }).timeModel({ bytes: await readFile(digits), feeds })
    expect(micros).toBeGreaterThan(0)
  })

  test('looks at the costliest kernels only, where asked to', async () => {
    const fresh = openKernelCache(path.join(folder, 'few'), host)
    const oracle = createOracle({ host, runtime, cache: fresh, budgetMs: 30_000 })
    await oracle.consult(model, dims, ['qdq-u8s8', 'qdq-u8u8', 'qdq-s8s8'], undefined, 2)
    const table = Object.values(await fresh.read([]))
    expect(table).toHaveLength(2)
    for (const times of table) expect(Object.keys(times)).toContain('qdq-s8s8')
  })

  test('knows nothing of nodes whose sizes are open', async () => {
    const advice = await createOracle({ host, runtime, cache }).consult(model, new Map(), ['dynamic'])
    expect(nodesOf('Conv').map((node) => advice.timesOf(node))).toEqual(nodesOf('Conv').map(() => undefined))
  })

  test('stops when its time is up, and leaves the rest unknown', async () => {
    const cls = cloneModel(await loadModel(ocrModels.cls))
    liftConstants(cls)
    const fresh = openKernelCache(path.join(folder, 'fresh'), host)
    const oracle = createOracle({ host, runtime, cache: fresh, budgetMs: 1 })
    const advice = await oracle.consult(cls, new Map([['x', [1, 3, 48, 192]]]), ['qdq-u8s8'])
    expect(Object.keys(await fresh.read([]))).toHaveLength(1)
    const convs = [...cls.graph.nodes].filter(({ opType }) => opType === 'Conv')
    expect(convs.length).toBeGreaterThan(40)
    expect(convs.filter((node) => advice.timesOf(node) === undefined).length).toBeGreaterThan(30)
  })
})

describe('the cache', () => {
  test('keeps hosts apart: another CPU, instruction set, runtime or thread count is another table', async () => {
    const others = [{ cpu: 'other' }, { isa: ['avx2', 'avx512f'] }, { ort: '1.31.0' }, { threads: 2 }]
    for (const change of others) expect(await openKernelCache(folder, { ...host, ...change }).read([])).toEqual({})
    expect(Object.keys(await openKernelCache(folder, { ...host, isa: [...host.isa] }).read([]))).not.toEqual([])
  })

  test('measures again what was damaged, and leaves no partial file', async () => {
    const place = path.join(folder, 'damaged')
    const damaged = openKernelCache(place, host)
    await damaged.add({ a: { fp32: 1 } })
    const [file] = await readdir(place)
    for (const text of ['{"a":', '{"a":{"fp32":"fast"}}', '[]']) {
      await writeFile(path.join(place, file!), text)
      expect(await damaged.read([])).toEqual({})
    }
    await damaged.add({ b: { fp32: 2 } })
    await damaged.add({ c: { fp32: 3, dynamic: null } })
    expect(await damaged.read([])).toEqual({ b: { fp32: 2 }, c: { fp32: 3, dynamic: null } })
    expect(await readdir(place)).toEqual([file])
  })
})

const conv = {
  op: 'Conv',
  input: [1, 16, 12, 12],
  strides: [1, 1],
  dilations: [1, 1],
  pads: [0, 0, 0, 0],
  group: 1,
} as const
const kernels: Record<string, Timed> = {
  '1×1 convolution': { ...conv, weight: [8, 16, 1, 1] },
  '3×3 convolution, strided': { ...conv, weight: [8, 16, 3, 3], strides: [2, 2], pads: [1, 1, 1, 1] },
  'depthwise convolution': { ...conv, weight: [16, 1, 3, 3], group: 16 },
  'product of one row': { op: 'MatMul', rows: 1, inner: 64, columns: 32 },
  'conversion of an activation': { op: 'Boundary', elements: 1000 },
  'product of many rows': { op: 'MatMul', rows: 16, inner: 64, columns: 32 },
}

describe.each(Object.entries(kernels))('a %s', (_name, kernel) => {
  test.each(kernelForms[kernel.op])('can be had as %s', async (form) => {
    const { bytes, feeds } = buildMicroModel(kernel, form, 2)!
    const session = await adapter.createSession({ bytes })
    const outputs = Object.values(await session.run(feeds))
    await session.release()
    expect(outputs).toHaveLength(2)
  })
})

test('blocks of 32 do not divide every product', () => {
  expect(buildMicroModel({ op: 'MatMul', rows: 1, inner: 33, columns: 8 }, 'nbits4-a4', 1)).toBeUndefined()
})

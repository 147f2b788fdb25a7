import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect } from 'vitest'
import { loadModel } from '../../../src/engine/onnx/index.ts'
import { encodeModel } from '../../../src/engine/onnx/index.ts'
import { openDataset, writeNpz, type Dataset } from '../../../src/engine/data/index.ts'
import type { Model } from '../../../src/engine/ir/model.ts'
import { allNodes } from '../../../src/engine/ir/model.ts'
import { tensorOf, viewOf, type Tensor } from '../../../src/engine/ir/tensor.ts'
import { verify } from '../../../src/engine/ops/index.ts'
import { passSchemas, type PassName } from '../../../src/engine/passes/options/index.ts'
import { passes, runPass } from '../../../src/engine/passes/index.ts'
import type { Pass, PassContext, PassOptions, PassResult } from '../../../src/engine/passes/pass.ts'
import type { ModelSpec } from '../../support/models.ts'
import { compareTensors } from '../../../src/engine/passes/compare-tensors.ts'
import { fillDefaults } from '../../../src/engine/recipes/parse.ts'
import type { SessionOptions } from '../../../src/engine/runtime/options.ts'
import { createOrtRuntime } from '../../../src/engine/runtime/ort/index.ts'
import type { Feeds } from '../../../src/engine/runtime/port.ts'

export const runtime = createOrtRuntime()

const folders: string[] = []

/** A folder that is gone after the tests of the file. */
function temporaryFolder(kind: string): string {
  const folder = mkdtempSync(path.join(tmpdir(), `hasten-${kind}-`))
  folders.push(folder)
  return folder
}

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

/** A host with VNNI, so that int8 has its whole range; tests of other hosts say so. */
export function createContext(changes: Partial<PassContext> = {}): PassContext {
  return {
    runtime,
    target: { device: 'cpu', isa: ['avx2', 'avx512_vnni'] },
    signal: new AbortController().signal,
    progress: () => undefined,
    log: () => undefined,
    workDir: temporaryFolder('pass'),
    ...changes,
  }
}

/** Runs a pass with its default options but for `options`. The result passes the verifier. */
export async function applyPass(
  name: PassName,
  model: Model,
  options: Record<string, unknown> = {},
  context: Partial<PassContext> = {},
): Promise<PassResult> {
  const filled = fillDefaults(passSchemas[name].options, options) as PassOptions<PassName>
  const pass: Pass = passes[name]
  // The model teaches itself, where a test says nothing else.
  const training = { loadModel: async () => model }
  const result = await runPass(pass, model, filled, createContext({ training, ...context }))
  expect(verify(result.model)).toEqual([])
  return result
}

/** Outputs of a model; ONNX Runtime's own optimizations are off unless the session says otherwise. */
export async function runModel(
  model: Model,
  feeds: Feeds,
  session: SessionOptions = { optimizationLevel: 'disabled' },
): Promise<Readonly<Record<string, Tensor>>> {
  const opened = await runtime.createSession({ bytes: encodeModel(model) }, { session })
  try {
    return await opened.run(feeds)
  } finally {
    await opened.release()
  }
}

/** Both models give the same outputs, floats within 1e-5 of their scale. */
export async function expectSame(one: Model, other: Model, feeds: Feeds): Promise<void> {
  const [expected, actual] = [await runModel(one, feeds), await runModel(other, feeds)]
  expect(Object.keys(actual)).toEqual(Object.keys(expected))
  for (const [name, tensor] of Object.entries(expected)) {
    expect(compareTensors(tensor, actual[name] as Tensor, { relative: 1e-5, noise: 0 }), name).toBeUndefined()
  }
}

export function floats(dims: readonly number[], values: readonly number[] | ((index: number) => number)): Tensor {
  const count = dims.reduce((product, dim) => product * dim, 1)
  const data = typeof values === 'function' ? Float32Array.from({ length: count }, (_, index) => values(index)) : values
  return tensorOf('float32', dims, Float32Array.from(data))
}

export function int64s(dims: readonly number[], values: readonly number[]): Tensor {
  return tensorOf('int64', dims, BigInt64Array.from(values, BigInt))
}

export function numbers(tensor: Tensor | undefined): number[] {
  return Array.from(viewOf(tensor as Tensor, 'float32'))
}

/** Repeatable values of about −1 to 1 without a pattern. */
export function noise(index: number, seed = 1): number {
  const value = Math.sin((index + 1) * 12.9898 + seed * 78.233) * 43758.5453
  return 2 * (value - Math.floor(value)) - 1
}

/** A real dataset on disk. */
export async function datasetOf(arrays: Record<string, Tensor>): Promise<Dataset> {
  const file = path.join(temporaryFolder('data'), 'samples.npz')
  await writeNpz(file, arrays)
  return openDataset(file)
}

/** How often each operator occurs. */
export function countOps(model: Model): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { opType } of allNodes(model)) counts[opType] = (counts[opType] ?? 0) + 1
  return counts
}

export function cosine(one: readonly number[], other: readonly number[]): number {
  const dot = (a: readonly number[], b: readonly number[]) =>
    a.reduce((sum, value, index) => sum + value * (b[index] as number), 0)
  return dot(one, other) / Math.sqrt(dot(one, one) * dot(other, other))
}

/** The graph that ONNX Runtime's own optimizer makes of a model. */
export async function optimizedByRuntime(model: Model, level: 'extended' | 'all' = 'extended'): Promise<Model> {
  const { InferenceSession } = await import('onnxruntime-node')
  const file = path.join(temporaryFolder('optimized'), 'optimized.onnx')
  const session = await InferenceSession.create(encodeModel(model), {
    graphOptimizationLevel: level,
    optimizedModelFilePath: file,
    executionProviders: ['cpu'],
    logSeverityLevel: 4,
  })
  await session.release()
  return loadModel(file)
}

/** Op type, inputs, outputs, attributes, name. */
export type NodeSpec = ModelSpec['nodes'][number]

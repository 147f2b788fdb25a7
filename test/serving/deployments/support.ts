import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { decodeModel, describeModel } from '../../../src/engine/index.ts'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import { createOrtRuntime } from '../../../src/engine/runtime/ort/index.ts'
import { startDeployments, type DeploymentsDeps, type RunningDeployments } from '../../../src/serving/index.ts'
import type { Runtime } from '../../../src/engine/serving.ts'
import {
  newId,
  openCache,
  type ArtifactCache,
  type DeploymentRow,
  type DeploymentVersionRow,
  type ModelRow,
  type Storage,
} from '../../../src/storage/index.ts'
import { openStorage } from '../../../src/storage/open.ts'
import { buildModel } from '../../support/models.ts'
import { createTestDatabase } from '../../support/postgres.ts'
import { listen, silentLogger, type TestServer } from '../support.ts'

export const project = 'default'

export const testHost = { architecture: 'x64', isa: ['avx2'], runtime: '1.30.0' }

export interface Bench {
  readonly storage: Storage
  readonly runtime: Runtime
  readonly connectionString: string
  /** Stores a model as an upload does. */
  store(name: string, bytes: Uint8Array, over?: { signature?: object; session?: object }): Promise<ModelRow>
  openCache(): Promise<ArtifactCache>
  /** A serve process of its own, listening. */
  serve(over?: Partial<DeploymentsDeps>): Promise<TestServer & { deployments: RunningDeployments; serverId: string }>
  close(): Promise<void>
}

/** A database, a cache directory and a runtime for one test file. */
export async function openBench(): Promise<Bench> {
  const database = await createTestDatabase()
  const storage = await openStorage({ connectionString: database.connectionString })
  const runtime = createOrtRuntime()
  const dir = mkdtempSync(path.join(tmpdir(), 'hasten-serving-'))
  const closers: (() => Promise<void>)[] = []
  let caches = 0
  const openOwnCache = () => {
    caches++
    return openCache({ dir: path.join(dir, String(caches)), maxBytes: 2 ** 30, artifacts: storage.artifacts })
  }
  return {
    storage,
    runtime,
    connectionString: database.connectionString,
    openCache: openOwnCache,
    async store(name, bytes, { signature, session = {} } = {}) {
      const { sha256, sizeBytes } = await storage.artifacts.write(chunks(bytes), { maxBytes: 2 ** 30 })
      const files = [{ name: 'model.onnx', sha256, sizeBytes }]
      const described = signature ?? describeModel(decodeModel(bytes), sizeBytes)
      return storage.models.create({ project, name, files, session, signature: described })
    },
    async serve(over = {}) {
      const serverId = newId('srv')
      const cache = await openOwnCache()
      const deps = {
        storage,
        cache,
        runtime,
        serverId,
        logger: silentLogger(),
        url: 'http://localhost',
        cores: 2,
        host: testHost,
      }
      const deployments = await startDeployments({ ...deps, pollMs: 200, ...over })
      const server = await listen(deployments.catalog)
      closers.push(async () => {
        await server.app.close()
        await deployments.stop({ timeoutMs: 5000 })
      })
      return { ...server, deployments, serverId }
    },
    async close() {
      for (const close of closers) await close()
      await runtime.close()
      await storage.close()
      await database.drop()
      rmSync(dir, { recursive: true })
    },
  }
}

async function* chunks(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes
}

/** Asks until `read` gives something; fails after 20 s. */
export async function eventually<T>(read: () => Promise<T | undefined>): Promise<T> {
  const end = performance.now() + 20_000
  for (;;) {
    const value = await read()
    if (value !== undefined) return value
    if (performance.now() > end) throw new Error('it did not happen within 20 s')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

export async function untilReady(url: string, name: string, version?: number): Promise<void> {
  const path = version === undefined ? name : `${name}/versions/${version}`
  await eventually(async () => ((await fetch(`${url}/v2/models/${path}/ready`)).ok ? true : undefined))
}

const now = new Date()

/** A deployment without versions, as it is read. */
export const deploymentRow: DeploymentRow = {
  id: 'dep_1',
  project,
  name: 'm',
  state: 'ready',
  error: null,
  active: 1,
  loaded: true,
  policy: {},
  canary: null,
  traffic: {},
  metadata: {},
  versions: [],
  createdAt: now,
  updatedAt: now,
}

export function versionRow(version: number): DeploymentVersionRow {
  return { version, modelId: 'mdl_1', jobId: null, options: {}, createdAt: now, replicas: [] }
}

/** y = factor · x, with so many weights more that do nothing. */
export function scale(factor: number, padding = 0): Uint8Array {
  return buildModel({
    inputs: { x: ['float32', ['N', 2]] },
    outputs: { y: ['float32', ['N', 2]] },
    initializers: {
      f: tensorOf('float32', [1], Float32Array.of(factor)),
      unused: tensorOf('float32', [padding], new Float32Array(padding)),
    },
    nodes: [['Mul', ['x', 'f'], ['y']]],
  })
}

interface Asked {
  readonly status: number
  readonly data?: number[] | undefined
  readonly model_version?: string
  readonly code?: string
  readonly detail?: string
}

/** What a model of `scale` answers to [1, 2]; `path` is its name, with or without a version. */
export async function ask(url: string, path: string, over: object = {}): Promise<Asked> {
  const inputs = [{ name: 'x', shape: [1, 2], datatype: 'FP32', data: [1, 2] }]
  const body = JSON.stringify({ inputs, ...over })
  const response = await fetch(`${url}/v2/models/${path}/infer`, { method: 'POST', body })
  const answer = (await response.json()) as Omit<Asked, 'data' | 'status'> & { outputs?: [{ data: number[] }] }
  return { status: response.status, data: answer.outputs?.[0].data, ...answer }
}

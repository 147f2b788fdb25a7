import { createHash } from 'node:crypto'
import { afterAll, beforeAll } from 'vitest'
import { openStorage, type FileRef, type NewJob, type Storage } from '../../src/storage/index.ts'
import { createTestDatabase, type TestDatabase } from './postgres.ts'

/** A database and an open storage for the tests of this file. */
export function useStorage(): { readonly storage: Storage; readonly connectionString: string } {
  let database: TestDatabase | undefined
  let storage: Storage | undefined
  beforeAll(async () => {
    database = await createTestDatabase()
    storage = await openStorage({ connectionString: database.connectionString })
  })
  afterAll(async () => {
    await storage?.close()
    await database?.drop()
  })
  return {
    get storage() {
      return storage!
    },
    get connectionString() {
      return database!.connectionString
    },
  }
}

export const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex')

/** Content in slices of the given length. */
export async function* slices(bytes: Uint8Array, length = 65_536): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < bytes.length; offset += length) yield bytes.subarray(offset, offset + length)
}

export async function readAll(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of source) parts.push(Buffer.from(part))
  return Buffer.concat(parts)
}

/** Stores text as a file of that name. */
export async function storeFile(storage: Storage, name: string, text: string): Promise<FileRef> {
  return { name, ...(await storage.artifacts.write(slices(Buffer.from(text)), { maxBytes: 1e9 })) }
}

let serial = 0

/** A model with a little stored content of its own. */
export async function createModel(storage: Storage, project = 'p1', name = 'model') {
  serial += 1
  const files = [await storeFile(storage, 'model.onnx', `model ${serial}`)]
  return storage.models.create({ project, name, files, signature: { inputs: [] } })
}

export async function createJob(storage: Storage, changes: Partial<NewJob> = {}) {
  const project = changes.project ?? 'p1'
  const modelId = changes.modelId ?? (await createModel(storage, project)).id
  const job = { recipe: { name: 'lossless' }, datasets: {}, target: { device: 'cpu' }, gates: [], queue: 'cpu' }
  return storage.jobs.create({ ...job, ...changes, project, modelId })
}

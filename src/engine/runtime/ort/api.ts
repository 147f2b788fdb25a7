import {
  queryFunctions,
  releaseFunctions,
  statusFunctions,
  type AnswerOf,
  type ArgumentsOf,
  type QueryFunction,
  type ReleaseFunction,
  type StatusFunction,
} from './api-table.ts'
import { bindEntry, nativeTypes, type NativeFunction } from './bind-entry.ts'
import type { ApiEntries } from './library.ts'
import { createCopier } from './native-copy.ts'
import { OrtError } from './ort-error.ts'

/** Calls into the C API. A failing status is read, released and thrown as `OrtError`. */
export interface OrtApi {
  readonly version: string
  /** Calls a function that returns a status. */
  call<Name extends StatusFunction>(name: Name, ...args: ArgumentsOf<Name>): void
  /** As `call`, for functions whose last parameter receives a pointer or integer, which is returned. */
  get<Name extends GetterName>(name: Name, ...args: DropLast<ArgumentsOf<Name>>): bigint
  /** As `call`, on a thread of libuv's pool. Everything in `args` stays referenced until the call has ended. */
  callAsync<Name extends StatusFunction>(name: Name, ...args: ArgumentsOf<Name>): Promise<void>
  /** The type and the dims of a tensor's native value, in one call. */
  typeAndShape(value: bigint): TypeAndShape
  /** A copy of a few bytes of native memory. */
  copyBytes(pointer: bigint, length: number): Uint8Array
  /** Throws what a status says, unless it is null. */
  check(status: bigint | null): void
  /** Asks a function that cannot fail. */
  query<Name extends QueryFunction>(name: Name, pointer: bigint): AnswerOf<Name>
  release(name: ReleaseFunction, pointer: bigint): void
  /** As `release`, on a thread of libuv's pool: freeing a session joins its threads. */
  releaseAsync(name: ReleaseFunction, pointer: bigint): Promise<void>
}

interface TypeAndShape {
  /** As `dtypeOfElement` knows it. */
  readonly elementType: number
  readonly dims: number[]
}

type DropLast<Args> = Args extends readonly [...infer Head, unknown] ? Head : never
type GetterName = {
  [Name in StatusFunction]: ArgumentsOf<Name> extends readonly [...unknown[], BigUint64Array] ? Name : never
}[StatusFunction]

/** Room for one pointer or integer. Its own ArrayBuffer: V8 keeps small typed arrays on its heap, where they move. */
export function createSlots(count: number): BigUint64Array {
  return new BigUint64Array(new ArrayBuffer(Math.max(count, 1) * 8))
}

/** Binds every function of the tables to its entry; done once per runtime. */
export function bindApi({ version, entries }: ApiEntries): OrtApi {
  const status = mapRecord(statusFunctions, ([index, ...kinds]) => bindEntry(entries[index], 'void *', kinds))
  const release = mapRecord(releaseFunctions, ([index, ...kinds]) => bindEntry(entries[index], 'void', kinds))
  const queries = mapRecord(queryFunctions, ([index, result]) =>
    bindEntry(entries[index], nativeTypes[result], ['ptr']),
  )
  const query: OrtApi['query'] = (name, pointer) => queries[name](pointer) as AnswerOf<typeof name>
  const check = (failed: bigint | null): void => {
    if (failed !== null) throw takeError(query, release.ReleaseStatus, failed)
  }
  const [scratch, shape, rank] = [createSlots(1), createSlots(1), createSlots(1)]
  const copyDims = createCopier<BigInt64Array>('int64_t')
  return {
    version,
    call: (name, ...args) => check(status[name](...args) as bigint | null),
    get: (name, ...args) => {
      scratch[0] = 0n
      check(status[name](...args, scratch) as bigint | null)
      return scratch[0]
    },
    typeAndShape: (value) => {
      scratch[0] = 0n
      check(status.GetTensorElementTypeAndShapeDataReference(value, scratch, shape, rank) as bigint | null)
      // A scalar's dims have no address.
      const dims = rank[0] === 0n ? [] : Array.from(copyDims(shape[0] ?? 0n, Number(rank[0])), Number)
      return { elementType: Number(scratch[0]), dims }
    },
    copyBytes: createCopier<Uint8Array>('uint8_t'),
    callAsync: async (name, ...args) => check((await startAsync(status[name], args)) as bigint | null),
    check,
    query,
    release: (name, pointer) => void release[name](pointer),
    releaseAsync: async (name, pointer) => void (await startAsync(release[name], [pointer])),
  }
}

function mapRecord<Key extends string, From, To>(table: Record<Key, From>, map: (row: From) => To): Record<Key, To> {
  const entries = Object.entries<From>(table).map(([key, row]) => [key, map(row)] as const)
  return Object.fromEntries(entries) as Record<Key, To>
}

function takeError(query: OrtApi['query'], releaseStatus: NativeFunction, status: bigint): OrtError {
  const error = new OrtError(query('GetErrorCode', status), query('GetErrorMessage', status))
  releaseStatus(status)
  return error
}

function startAsync(native: NativeFunction, args: readonly unknown[]): Promise<unknown> {
  return new Promise((resolve, reject) => {
    native.async(...args, (error: unknown, status: unknown) => {
      // Naming `args` here keeps the JS memory behind the pointers alive until native code is done with it.
      if (error !== null && error !== undefined)
        reject(new Error(`native call of ${args.length} arguments`, { cause: error }))
      else resolve(status)
    })
  })
}

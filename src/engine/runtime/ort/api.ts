import koffi from 'koffi'
import {
  releaseFunctions,
  statusFunctions,
  type ArgumentKind,
  type ArgumentsOf,
  type ReleaseFunction,
  type StatusFunction,
} from './api-table.ts'
import type { ApiEntries } from './library.ts'
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
  release(name: ReleaseFunction, pointer: bigint): void
  /** As `release`, on a thread of libuv's pool: freeing a session joins its threads. */
  releaseAsync(name: ReleaseFunction, pointer: bigint): Promise<void>
}

type DropLast<Args> = Args extends readonly [...infer Head, unknown] ? Head : never
type GetterName = {
  [Name in StatusFunction]: ArgumentsOf<Name> extends readonly [...unknown[], BigUint64Array] ? Name : never
}[StatusFunction]

interface NativeFunction {
  (...args: readonly unknown[]): unknown
  async(...args: readonly unknown[]): void
}

const nativeTypes: Record<ArgumentKind, string> = {
  ptr: 'void *',
  buf: 'void *',
  out: 'void *',
  str: 'str',
  path: process.platform === 'win32' ? 'str16' : 'str',
  int: 'int',
  size: 'size_t',
  int64: 'int64_t',
  bool: 'bool',
}

/** Room for one pointer or integer. Its own ArrayBuffer: V8 keeps small typed arrays on its heap, where they move. */
export function createSlots(count: number): BigUint64Array {
  return new BigUint64Array(new ArrayBuffer(Math.max(count, 1) * 8))
}

/** Binds every function of the tables to its entry; done once per runtime. */
export function bindApi({ version, entries }: ApiEntries): OrtApi {
  const status = bindTable(statusFunctions, entries, 'void *')
  const release = bindTable(releaseFunctions, entries, 'void')
  const check = createStatusCheck(entries, release.ReleaseStatus)
  const scratch = createSlots(1)
  return {
    version,
    call: (name, ...args) => check(status[name](...args)),
    get: (name, ...args) => {
      scratch[0] = 0n
      check(status[name](...args, scratch))
      return scratch[0]
    },
    callAsync: async (name, ...args) => check(await startAsync(status[name], args)),
    release: (name, pointer) => void release[name](pointer),
    releaseAsync: async (name, pointer) => void (await startAsync(release[name], [pointer])),
  }
}

function bindTable<Name extends string>(
  table: Record<Name, readonly [number, ...ArgumentKind[]]>,
  entries: readonly bigint[],
  result: string,
): Record<Name, NativeFunction> {
  const bound = Object.entries<readonly [number, ...ArgumentKind[]]>(table).map(([name, [index, ...kinds]]) => {
    const type = koffi.proto(
      result,
      kinds.map((kind) => nativeTypes[kind]),
    )
    return [name, koffi.decode(entries[index], type) as NativeFunction]
  })
  return Object.fromEntries(bound) as Record<Name, NativeFunction>
}

function createStatusCheck(entries: readonly bigint[], releaseStatus: NativeFunction): (status: unknown) => void {
  const getCode = koffi.decode(entries[1], koffi.proto('int', ['void *'])) as (status: bigint) => number
  const getMessage = koffi.decode(entries[2], koffi.proto('str', ['void *'])) as (status: bigint) => string
  return (status) => {
    if (status === null) return
    const error = new OrtError(getCode(status as bigint), getMessage(status as bigint))
    releaseStatus(status)
    throw error
  }
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

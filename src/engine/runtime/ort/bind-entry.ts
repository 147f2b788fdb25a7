import koffi from 'koffi'
import type { ArgumentKind } from './api-table.ts'

/** A native function as koffi calls it. */
export interface NativeFunction {
  (...args: readonly unknown[]): unknown
  async(...args: readonly unknown[]): void
}

export const nativeTypes: Record<ArgumentKind, string> = {
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

/** The function at an address, with its result's type and its parameters. */
export function bindEntry(entry: bigint | undefined, result: string, kinds: readonly ArgumentKind[]): NativeFunction {
  const parameters = kinds.map((kind) => nativeTypes[kind])
  return koffi.decode(entry, koffi.proto(result, parameters)) as NativeFunction
}

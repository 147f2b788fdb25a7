import { HastenError } from '../../errors.ts'
import type { Feeds, NumericTensor, Tensor } from '../../engine/serving.ts'
import type { Ticket } from './request.ts'

/** What vector instructions like best; more than any element needs. */
const alignment = 64
const align = (bytes: number) => Math.ceil(bytes / alignment) * alignment

/** Memory for the inputs of batches: allocated once, then passed from run to run. */
export interface BatchBuffers {
  /** At least `bytes`, of whatever content. */
  take(bytes: number): ArrayBuffer
  give(buffer: ArrayBuffer): void
}

/** @param kept how many are kept when nobody uses them: as many as runs at a time */
export function createBatchBuffers(kept: number): BatchBuffers {
  const free: ArrayBuffer[] = []
  return {
    take(bytes) {
      const fitting = free.findIndex(({ byteLength }) => byteLength >= bytes)
      if (fitting >= 0) return free.splice(fitting, 1)[0] ?? new ArrayBuffer(bytes)
      // One that is too small gives its place to a larger one; powers of two, so that this ends soon.
      if (free.length >= kept) free.shift()
      return new ArrayBuffer(2 ** Math.ceil(Math.log2(Math.max(alignment, bytes))))
    },
    give(buffer) {
      if (free.length < kept) free.push(buffer)
    },
  }
}

interface Concatenated {
  readonly feeds: Feeds
  /** Gives the memory back, once the run has let go of it. */
  release(): void
}

/**
 * The inputs of the members one after the other, up to `rows` by repeating the last row: it is valid data, which zeros
 * need not be. This is the only copy that a request's data needs, also where it was not aligned.
 */
export function concatenate(members: readonly Ticket[], rows: number, buffers: BatchBuffers): Concatenated {
  const names = Object.keys(members[0]?.request.feeds ?? {})
  const parts = names.map((name) => members.map(({ request }) => tensorOf(request.feeds, name)))
  const sizes = parts.map((tensors) => rowBytes(tensors[0]) * rows)
  const buffer = buffers.take(sizes.reduce((sum, size) => sum + align(size), 0))
  let at = 0
  const entries = parts.map((tensors, index): [string, Tensor] => {
    const bytes = new Uint8Array(buffer, at, sizes[index] ?? 0)
    at += align(bytes.length)
    return [names[index] ?? '', joinRows(tensors, rows, bytes)]
  })
  return { feeds: Object.fromEntries(entries), release: () => buffers.give(buffer) }
}

function tensorOf(feeds: Feeds, name: string): Tensor {
  const tensor = feeds[name]
  if (tensor === undefined) throw new HastenError('internal', `a member of a batch has no input '${name}'`)
  return tensor
}

function rowBytes(tensor: Tensor | undefined): number {
  return tensor === undefined || tensor.dtype === 'string' ? 0 : tensor.bytes.length / (tensor.dims[0] ?? 1)
}

function joinRows(tensors: readonly Tensor[], rows: number, memory: Uint8Array): Tensor {
  const [first] = tensors
  if (first === undefined) throw new HastenError('internal', 'a batch has no members')
  const dims = [rows, ...first.dims.slice(1)]
  if (first.dtype === 'string') return { dtype: 'string', dims, strings: joinStrings(tensors, rows) }
  let at = 0
  for (const tensor of tensors) {
    const { bytes } = tensor as NumericTensor
    memory.set(bytes, at)
    at += bytes.length
  }
  const row = rowBytes(first)
  for (; at < memory.length; at += row) memory.copyWithin(at, at - row, at)
  return { dtype: first.dtype, dims, bytes: memory }
}

function joinStrings(tensors: readonly Tensor[], rows: number): Uint8Array[] {
  const strings = tensors.flatMap((tensor) => (tensor.dtype === 'string' ? tensor.strings : []))
  const given = tensors.reduce((sum, { dims }) => sum + (dims[0] ?? 0), 0)
  const last = strings.slice(strings.length - strings.length / given)
  for (let row = given; row < rows; row++) strings.push(...last)
  return strings
}

/** Rows `from` to `from + rows` of each output, as views. */
export function splitRows(
  outputs: Readonly<Record<string, Tensor>>,
  from: number,
  rows: number,
): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, sliceRows(tensor, from, rows)]))
}

export function sliceRows(tensor: Tensor, from: number, rows: number): Tensor {
  const total = tensor.dims[0] ?? 0
  const dims = [rows, ...tensor.dims.slice(1)]
  if (tensor.dtype === 'string') {
    const each = tensor.strings.length / total
    return { dtype: 'string', dims, strings: tensor.strings.slice(from * each, (from + rows) * each) }
  }
  const each = tensor.bytes.length / total
  return { dtype: tensor.dtype, dims, bytes: tensor.bytes.subarray(from * each, (from + rows) * each) }
}

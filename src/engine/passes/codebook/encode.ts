import type { Random } from '../../data/random.ts'
import { fixedTables } from './fixed-tables.ts'
import { findCenters } from './k-means.ts'

export type Scheme = 'linear' | 'kmeans' | 'log2' | 'nf4' | 'fp4'

/** How indices become weights; g is the group of a weight. */
type Decoder =
  /** low[g] + index · step[g] */
  | { readonly kind: 'linear'; readonly step: Float32Array; readonly low: Float32Array }
  /** table[index] · scale[g] */
  | { readonly kind: 'scaled'; readonly table: Float32Array; readonly scale: Float32Array }
  /** tables[g · size + index] */
  | { readonly kind: 'tables'; readonly tables: Float32Array; readonly size: number }

export interface Encoded {
  readonly indices: Uint16Array
  readonly bits: number
  readonly decoder: Decoder
}

export interface EncodeOptions {
  readonly scheme: Scheme
  readonly bits: number
  readonly random: Random
}

/** Largest number of bits of a scheme, and the only one of those with a fixed table. */
const limits = { linear: 16, kmeans: 8, log2: 6, nf4: 4, fp4: 4 } as const

/** Why a scheme can't have so many bits, or undefined. */
export function checkBits(scheme: Scheme, bits: number): string | undefined {
  const limit = limits[scheme]
  return bits > limit ? `${scheme} has at most ${limit} bits, not ${bits}` : undefined
}

/** Encodes weights whose groups, each `size` long, follow each other. */
export function encode(values: Float32Array, size: number, options: EncodeOptions): Encoded {
  if (options.scheme === 'linear') return encodeLinear(values, size, options.bits)
  if (options.scheme === 'kmeans') return encodeCenters(values, size, options)
  return encodeScaled(values, size, options.scheme, options.bits)
}

/**
 * Q(x) = round((x − min) / (max − min) · (2ⁿ − 1)); a group of one value has step 0. What decodes is low and step in
 * float32, so those are what is rounded by.
 */
function encodeLinear(values: Float32Array, size: number, bits: number): Encoded {
  const largest = 2 ** bits - 1
  const groups = values.length / size
  const [low, step, indices] = [new Float32Array(groups), new Float32Array(groups), new Uint16Array(values.length)]
  for (let group = 0; group < groups; group += 1) {
    const part = values.subarray(group * size, (group + 1) * size)
    const [min, max] = [part.reduce((a, b) => Math.min(a, b)), part.reduce((a, b) => Math.max(a, b))]
    const width = Math.fround((max - min) / largest)
    low[group] = min
    step[group] = width
    part.forEach((value, index) => {
      const level = width === 0 ? 0 : Math.round((value - min) / width)
      indices[group * size + index] = Math.min(largest, level)
    })
  }
  return { indices, bits, decoder: { kind: 'linear', low, step } }
}

function encodeScaled(values: Float32Array, size: number, scheme: 'log2' | 'nf4' | 'fp4', bits: number): Encoded {
  const table = fixedTables[scheme](bits)
  const groups = values.length / size
  const [scale, indices] = [new Float32Array(groups), new Uint16Array(values.length)]
  for (let group = 0; group < groups; group += 1) {
    const part = values.subarray(group * size, (group + 1) * size)
    const largest = part.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    const unit = scheme === 'log2' && largest > 0 ? 2 ** Math.round(Math.log2(largest)) : largest
    scale[group] = unit
    part.forEach((value, index) => {
      indices[group * size + index] = nearest(table, unit === 0 ? 0 : value / unit)
    })
  }
  return { indices, bits: scheme === 'log2' ? bits : 4, decoder: { kind: 'scaled', table, scale } }
}

function encodeCenters(values: Float32Array, size: number, { bits, random }: EncodeOptions): Encoded {
  const count = 2 ** bits
  const groups = values.length / size
  const [tables, indices] = [new Float32Array(groups * count), new Uint16Array(values.length)]
  for (let group = 0; group < groups; group += 1) {
    const part = values.subarray(group * size, (group + 1) * size)
    const centers = findCenters(part, count, random)
    tables.set(centers, group * count)
    part.forEach((value, index) => {
      indices[group * size + index] = nearest(centers, value)
    })
  }
  return { indices, bits, decoder: { kind: 'tables', tables, size: count } }
}

/** Index of the nearest of ascending values; the lower one when it is just between. */
export function nearest(table: Float32Array, value: number): number {
  let [low, high] = [0, table.length - 1]
  while (low < high) {
    const middle = (low + high) >> 1
    const border = ((table[middle] as number) + (table[middle + 1] as number)) / 2
    if (value > border) low = middle + 1
    else high = middle
  }
  return low
}

/** What the graph decodes, in float32 as the runtime computes it. */
export function decode({ indices, decoder }: Encoded, size: number): Float32Array {
  return Float32Array.from(indices, (index, at) => decodeOne(decoder, index, Math.floor(at / size)))
}

function decodeOne(decoder: Decoder, index: number, group: number): number {
  if (decoder.kind === 'tables') return decoder.tables[group * decoder.size + index] as number
  if (decoder.kind === 'scaled') return (decoder.table[index] as number) * (decoder.scale[group] as number)
  return Math.fround(index * (decoder.step[group] as number)) + (decoder.low[group] as number)
}

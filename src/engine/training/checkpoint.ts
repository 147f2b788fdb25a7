import { HastenError } from '../../errors.ts'
import type { Parameter } from './parameters.ts'

/** What one epoch came to. Epoch 0 is the model as it was given. */
export interface EpochRecord {
  readonly epoch: number
  /** Updates so far. */
  readonly step: number
  /** Mean of the training losses; null before the first. */
  readonly loss: number | null
  readonly validationLoss: number | null
  readonly metric: number | null
  /** That of the epoch's last update; null before the first. */
  readonly learningRate: number | null
}

/** Where a training went on after its process had ended. */
export interface Resume {
  /** The epoch that was under way, from 1. */
  readonly epoch: number
  /** Updates that were not done again. */
  readonly step: number
}

/** Everything that training goes on from. Orders of samples follow from the seed, so no generator is in it. */
export interface Progress {
  readonly epoch: number
  /** Updates done in this epoch. */
  readonly position: number
  /** Updates done in all. */
  readonly step: number
  readonly history: readonly EpochRecord[]
  /** Loss of every update so far. */
  readonly losses: readonly number[]
  /** The epoch whose parameters are `best`; -1 for none. */
  readonly bestEpoch: number
  readonly resumes: readonly Resume[]
}

export interface Checkpoint {
  /** What must be the same for going on to mean anything. */
  readonly fingerprint: string
  readonly progress: Progress
  /** State vectors by name, and `best` where there is one. */
  readonly vectors: Readonly<Record<string, Float32Array<ArrayBuffer>>>
}

/** "HTC2": a Hasten training checkpoint, version 2. */
const magic = Buffer.from('HTC2')

interface Header {
  readonly fingerprint: string
  readonly progress: Omit<Progress, 'losses'>
  readonly losses: number
  readonly vectors: readonly (readonly [name: string, length: number])[]
}

/**
 * A checkpoint as bytes: magic, length of the header (uint32, little-endian), header as JSON, then the losses (float64)
 * and the vectors (float32), which are the parameters and the optimizer's state as they are.
 */
export function encodeCheckpoint({ fingerprint, progress, vectors }: Checkpoint): Uint8Array {
  const { losses, ...rest } = progress
  const named = Object.entries(vectors)
  const header: Header = {
    fingerprint,
    progress: rest,
    losses: losses.length,
    vectors: named.map(([name, vector]) => [name, vector.length]),
  }
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(4)
  length.writeUInt32LE(text.byteLength)
  const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array | Float64Array) =>
    new Uint8Array(buffer, byteOffset, byteLength)
  return Buffer.concat([
    magic,
    length,
    text,
    bytesOf(Float64Array.from(losses)),
    ...named.map(([, vector]) => bytesOf(vector)),
  ])
}

/** @throws HastenError `checkpoint_mismatch` when the bytes are no checkpoint, or damaged */
export function decodeCheckpoint(bytes: Uint8Array): Checkpoint {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (buffer.byteLength < 8 || !buffer.subarray(0, 4).equals(magic)) throw damaged('do not begin like one')
  const headerEnd = 8 + buffer.readUInt32LE(4)
  const header = parseHeader(buffer.subarray(8, headerEnd))
  const wanted = headerEnd + 8 * header.losses + header.vectors.reduce((sum, [, length]) => sum + 4 * length, 0)
  if (wanted !== buffer.byteLength) throw damaged(`are ${buffer.byteLength}, not ${wanted}`)
  // A copy each: typed arrays need alignment, which what follows a text has not.
  const cut = (start: number, length: number) => new Uint8Array(bytes.slice(start, start + length)).buffer
  let at = headerEnd + 8 * header.losses
  const losses = [...new Float64Array(cut(headerEnd, 8 * header.losses))]
  const vectors = header.vectors.map(([name, length]) => {
    const vector = new Float32Array(cut(at, 4 * length))
    at += 4 * length
    return [name, vector] as const
  })
  return {
    fingerprint: header.fingerprint,
    progress: { ...header.progress, losses },
    vectors: Object.fromEntries(vectors),
  }
}

function parseHeader(bytes: Buffer): Header {
  try {
    return JSON.parse(bytes.toString('utf8')) as Header
  } catch {
    throw damaged('have a header that is cut off')
  }
}

function damaged(what: string): HastenError {
  return new HastenError('checkpoint_mismatch', `the bytes of the checkpoint ${what}`)
}

/** @throws HastenError `checkpoint_mismatch` when the checkpoint is of another training */
export function checkFingerprint(checkpoint: Checkpoint, fingerprint: string): void {
  if (checkpoint.fingerprint === fingerprint) return
  throw new HastenError('checkpoint_mismatch', 'the checkpoint is of a training with other parameters, data or options')
}

/** What makes two trainings the same, as text. */
export function fingerprintOf(parameters: readonly Parameter[], settings: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ parameters: parameters.map(({ name, dims }) => [name, dims]), ...settings })
}

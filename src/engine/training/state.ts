import { HastenError } from '../../errors.ts'
import { tensorOf, viewOf, type Tensor } from '../ir/tensor.ts'
import type { BorrowedOutputs, Residents, ResidentTensor, RunOptions, Session } from '../runtime/port.ts'
import { io } from './forward.ts'

/** A vector of the state: where the session computes once an update has made it, and in JavaScript's memory before. */
export type Vector = Tensor | ResidentTensor

/** The vectors between two updates. None passes through JavaScript from one update to the next. */
export interface State {
  vector(name: string): Vector
  /** All vectors as inputs of the next update. */
  inputs(): Readonly<Record<string, Vector>>
  /** Where that update is to write them: other memory than it reads. */
  targets(): Residents
  /** What was written to the targets becomes the state. */
  advance(): void
  /** Makes all vectors zeros. */
  clear(): void
  /** Replaces vectors by ones of JavaScript's memory. */
  write(vectors: Readonly<Record<string, Float32Array<ArrayBuffer>>>): void
  release(): void
}

/** Zeros, until something is written. Holds two vectors of memory for each name. */
export async function createState(session: Session, names: readonly string[], size: number): Promise<State> {
  const memory = await allocatePairs(session, names, size)
  const fresh = (data: Float32Array<ArrayBuffer>): Vector => tensorOf('float32', [data.length], data)
  const zeros = fresh(new Float32Array(names.length === 0 ? 0 : size))
  const vectors = new Map<string, Vector>(names.map((name) => [name, zeros]))
  let turn: 0 | 1 = 0
  return {
    vector(name) {
      const found = vectors.get(name)
      if (found === undefined) throw new HastenError('internal', `the step keeps no '${name}'`)
      return found
    },
    inputs: () => Object.fromEntries([...vectors].map(([name, vector]) => [io.state(name), vector])),
    targets: () => Object.fromEntries([...memory].map(([name, pair]) => [io.next(name), pair[turn]])),
    advance() {
      for (const [name, pair] of memory) vectors.set(name, pair[turn])
      turn = turn === 0 ? 1 : 0
    },
    clear() {
      for (const name of names) vectors.set(name, zeros)
    },
    write(written) {
      for (const [name, data] of Object.entries(written)) vectors.set(name, fresh(data))
    },
    release() {
      for (const each of [...memory.values()].flat()) each.release()
    },
  }
}

type Pair = readonly [ResidentTensor, ResidentTensor]

async function allocatePairs(session: Session, names: readonly string[], size: number): Promise<Map<string, Pair>> {
  const allocated: ResidentTensor[] = []
  const allocate = async () => {
    const tensor = await session.allocate('float32', [size])
    allocated.push(tensor)
    return tensor
  }
  try {
    const pairs = new Map<string, Pair>()
    for (const name of names) pairs.set(name, [await allocate(), await allocate()])
    return pairs
  } catch (error) {
    for (const each of allocated) each.release()
    throw error
  }
}

/** Runs a session on inputs of both kinds. */
export async function runOn(
  session: Session,
  inputs: Readonly<Record<string, Vector>>,
  options: RunOptions,
): Promise<BorrowedOutputs> {
  const feeds: Record<string, Tensor> = {}
  const resident: Record<string, ResidentTensor> = {}
  for (const [name, input] of Object.entries(inputs)) {
    if ('handle' in input) resident[name] = input
    else feeds[name] = input
  }
  return session.runBorrowed(feeds, { ...options, resident })
}

export function takeOutput({ outputs }: BorrowedOutputs, name: string): Tensor {
  const tensor = outputs[name]
  if (tensor === undefined) throw new HastenError('internal', `the step gave no '${name}'`)
  return tensor
}

export function numberOf(tensor: Tensor | undefined): number {
  return tensor === undefined ? Number.NaN : (viewOf(tensor, 'float32')[0] ?? Number.NaN)
}

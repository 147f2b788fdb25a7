import { HastenError } from '../../errors.ts'
import { tensorOf, type Tensor } from '../ir/tensor.ts'
import type { BorrowedOutputs, Feeds } from '../runtime/port.ts'
import { io } from './forward.ts'

/** The vectors between two updates. They lie in the runtime's memory from the first update on. */
export interface State {
  vector(name: string): Tensor
  /** All vectors as inputs of the next update. */
  feeds(): Feeds
  /** Takes the outputs of an update as the state, and lets go of the one before. */
  adopt(borrowed: BorrowedOutputs): void
  /** Replaces vectors by ones of JavaScript's memory. */
  write(vectors: Readonly<Record<string, Float32Array<ArrayBuffer>>>): void
  release(): void
}

/** Zeros, until something is written. */
export function createState(names: readonly string[], size: number): State {
  const fresh = (data: Float32Array<ArrayBuffer>) => tensorOf('float32', [size], data)
  let vectors = new Map<string, Tensor>(names.map((name) => [name, fresh(new Float32Array(size))]))
  let lent: BorrowedOutputs | undefined
  return {
    vector(name) {
      const found = vectors.get(name)
      if (found === undefined) throw new HastenError('internal', `the step keeps no '${name}'`)
      return found
    },
    feeds: () => Object.fromEntries([...vectors].map(([name, tensor]) => [io.state(name), tensor])),
    adopt(borrowed) {
      vectors = new Map(names.map((name) => [name, takeOutput(borrowed, io.next(name))]))
      lent?.release()
      lent = borrowed
    },
    write(written) {
      // Vectors that stay may lie in lent memory, so that is kept until the next update.
      vectors = new Map([...vectors, ...Object.entries(written).map(([name, data]) => [name, fresh(data)] as const)])
    },
    release() {
      lent?.release()
      lent = undefined
    },
  }
}

export function takeOutput({ outputs }: BorrowedOutputs, name: string): Tensor {
  const tensor = outputs[name]
  if (tensor === undefined) throw new HastenError('internal', `the step gave no '${name}'`)
  return tensor
}

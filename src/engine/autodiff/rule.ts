import type { Node, Value } from '../ir/graph.ts'
import type { Emitter } from './emitter.ts'

/** What a rule sees of the node it is for, and the means to emit its backward nodes. */
export interface Backward extends Emitter {
  readonly node: Node
  /** Gradient of the loss by the first output. */
  readonly dy: Value
  /** Gradient by each output; undefined where none flows. */
  readonly grads: readonly (Value | undefined)[]
  /** The first input. */
  readonly x: Value
  /** The first output: cheaper than to compute it again. */
  readonly y: Value
  /** An input that the operator can't do without. */
  readonly input: (index: number) => Value
  /** Whether the gradient of an input is needed. */
  readonly wants: (index: number) => boolean
  /**
   * The outputs of the forward node, `count` of them at least. A node that gives fewer is replaced by one that gives
   * them, under the same names, so that nothing is computed twice.
   */
  readonly outputs: (count: number) => readonly Value[]
  /** @throws HastenError `not_differentiable` that names the node and says why. */
  readonly refuse: (reason: string) => never
}

/** Emits the gradient by one input. Called only when that gradient is wanted. */
export type Gradient = () => Value

/**
 * The gradients by each input, in order: null where none flows (the output does not depend on the elements of that input, or
 * only in steps), undefined where the rule has no formula. Those of elementwise operators have the dims of the output: the
 * driver undoes broadcasting.
 */
export type GradientRule = (backward: Backward) => readonly (Gradient | null | undefined)[]

/** Gradients of one family of operators, by op type of ai.onnx. */
export type RuleTable = Readonly<Record<string, GradientRule>>

/** Computes a value that several gradients share, at most once and only if one of them is wanted. */
export function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined
  return () => (made ??= { value: make() }).value
}

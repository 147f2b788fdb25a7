import type { Attribute } from './attribute.ts'
import type { Value } from './graph.ts'

/** What a new node is made from. */
export interface NodeInit {
  readonly opType: string
  /** '' is ai.onnx. */
  readonly domain?: string
  /** Generated from the op type when absent. */
  readonly name?: string
  readonly overload?: string
  readonly inputs: readonly (Value | undefined)[]
  /** Names, or how many with generated names; 1 by default. */
  readonly outputs?: readonly string[] | number
  readonly attributes?: Readonly<Record<string, Attribute>>
  readonly opaque?: unknown
}

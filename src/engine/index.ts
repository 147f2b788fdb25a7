/** The engine as a library: reads, changes, optimizes and measures ONNX models. Knows no HTTP, queue or database. */
export * from './ir/index.ts'
export * from './onnx/index.ts'
export type * from './runtime/port.ts'
export type { SessionOptions } from './runtime/options.ts'
export * from './data/index.ts'
export * from './gates/index.ts'
export * from './measure/index.ts'

/**
 * What the data plane takes from the engine: tensors, made-up inputs for a probe, and the types of the runtime. It
 * imports no pass, codec or measurement, so that a data plane starts without them.
 */
export { byteLength, isViewable, viewOf } from './ir/index.ts'
export { generateInputs } from './data/generate.ts'
export { npyDescriptor } from './data/npy-descriptors.ts'
export {
  findDifference,
  goldenSchema,
  recordGolden,
  roundingOptions,
  type Conditions,
  type Golden,
  type Outputs,
} from './measure/golden.ts'
export { confidencesOf, type ScoreScale } from './measure/quality/confidence.ts'
export { isFloat, numbersOf } from './measure/quality/numbers.ts'
export { argmax } from './measure/quality/scores.ts'
export type { DType, NumericTensor, Tensor } from './ir/index.ts'
export type { BorrowedOutputs, Feeds, RunOptions, Runtime, Session, TensorInfo } from './runtime/port.ts'
export type { SessionOptions } from './runtime/options.ts'

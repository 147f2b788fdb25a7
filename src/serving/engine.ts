// What serving takes from the engine, in one place: the rest of the folder never reaches past it.
export { byteLength, elementCount, isViewable, viewOf } from '../engine/index.ts'
export type {
  BorrowedOutputs,
  DType,
  Feeds,
  NumericTensor,
  RunOptions,
  Runtime,
  Session,
  SessionOptions,
  StringTensor,
  Tensor,
  TensorInfo,
} from '../engine/index.ts'
export { generateInputs } from '../engine/data/index.ts'

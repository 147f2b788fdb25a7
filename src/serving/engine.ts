// What serving takes from the engine, in one place: the rest of the folder never reaches past it.
export { byteLength, generateInputs, isViewable, viewOf } from '../engine/index.ts'
export type {
  BorrowedOutputs,
  DType,
  Feeds,
  NumericTensor,
  RunOptions,
  Runtime,
  Session,
  SessionOptions,
  Tensor,
  TensorInfo,
} from '../engine/index.ts'

export { decodeModel, type DecodeOptions } from './decode.ts'
export { encodeModel } from './encode.ts'
export type { ExternalReader, ExternalReference } from './external-data.ts'
export { loadModel, saveModel, type LoadOptions, type SaveOptions } from './file.ts'

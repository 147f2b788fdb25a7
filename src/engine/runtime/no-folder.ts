import path from 'node:path'

/**
 * A folder that cannot exist, as it would lie inside a file. A model from bytes has no folder of its own, and ONNX
 * Runtime would look for its external data in the working directory.
 */
export const noFolder = path.join(process.execPath, 'no-external-data')

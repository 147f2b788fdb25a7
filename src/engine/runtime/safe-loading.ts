import path from 'node:path'
import type { ModelSource } from './port.ts'

/**
 * A folder that cannot exist, as it would lie inside a file. A model from bytes has no folder of its own, and ONNX
 * Runtime would look for its external data in the working directory.
 */
export const noFolder = path.join(process.execPath, 'no-external-data')

/** The folder of a model's file; undefined for a model from bytes. */
export function modelFolder(model: ModelSource): string | undefined {
  return 'path' in model ? path.dirname(model.path) : undefined
}

/**
 * Configuration entries by which the runtime reads ONNX and nothing else. Left to itself it takes bytes with the mark of
 * its own format for that, which nobody has looked into before.
 */
export const onnxOnly = { 'session.load_model_format': 'ONNX' } as const

import koffi from 'koffi'
import { createRequire } from 'node:module'
import path from 'node:path'
import { HastenError, messageOf } from '../../../errors.ts'
import { apiVersion } from './api-table.ts'

/** `OrtApi` of a loaded library: its entries by index, and the library's version. */
export interface ApiEntries {
  readonly version: string
  readonly entries: readonly bigint[]
}

const fileNames: Partial<Record<NodeJS.Platform, string>> = {
  linux: 'libonnxruntime.so.1',
  darwin: 'libonnxruntime.1.dylib',
  win32: 'onnxruntime.dll',
}

/** SessionOptionsSetLoadCancellationFlag, the highest index used, plus one. */
const entryCount = 294

/** Where `onnxruntime-node` keeps the native library for this platform. */
export function libraryPath(): string {
  const packageFile = createRequire(import.meta.url).resolve('onnxruntime-node/package.json')
  const fileName = fileNames[process.platform] ?? 'libonnxruntime.so.1'
  return path.join(path.dirname(packageFile), 'bin', 'napi-v6', process.platform, process.arch, fileName)
}

/**
 * Loads ONNX Runtime's shared library and finds its function table. Types are anonymous, so that loading twice in one
 * process declares no name twice.
 * @throws HastenError `device_unavailable` when the library is absent or older than the table needs.
 */
export function loadLibrary(file = libraryPath()): ApiEntries {
  const base = openLibrary(file)
  const [getApi, getVersion] = koffi.decode(base, koffi.array('void *', 2)) as [bigint, bigint]
  const version = koffi.call(getVersion, koffi.proto('str', [])) as string
  const table = koffi.call(getApi, koffi.proto('void *', ['uint32_t']), apiVersion) as bigint | null
  if (table === null) {
    throw new HastenError('device_unavailable', `ONNX Runtime ${version} lacks version ${apiVersion} of its C API`)
  }
  return { version, entries: koffi.decode(table, koffi.array('void *', entryCount)) as bigint[] }
}

function openLibrary(file: string): bigint {
  try {
    return koffi.load(file).func('OrtGetApiBase', 'void *', [])() as bigint
  } catch (error) {
    throw new HastenError('device_unavailable', `cannot load ONNX Runtime from ${file}: ${messageOf(error)}`, {
      hint: 'Install onnxruntime-node for this platform, or use the ort-node adapter.',
      cause: error,
    })
  }
}

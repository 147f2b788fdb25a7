import koffi, { type LibraryHandle } from 'koffi'
import { HastenError, messageOf } from '../../../errors.ts'
import { apiVersion, entryCount } from './api-table.ts'

/** `OrtApi` of a loaded library: its entries by index, and the library's version. */
export interface ApiEntries {
  readonly version: string
  readonly entries: readonly bigint[]
}

/**
 * Libraries stay loaded until the process ends: koffi unloads one once its handle is collected, whatever function
 * pointers were read from it, and native threads may still have destructors to run.
 */
const loaded = new Set<LibraryHandle>()

/**
 * Loads ONNX Runtime's shared library and finds its function table. Types are anonymous, so that loading twice in one
 * process declares no name twice.
 * @throws HastenError `device_unavailable` when the library is absent or older than the table needs.
 */
export function loadLibrary(file: string): ApiEntries {
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
    const library = koffi.load(file)
    loaded.add(library)
    return library.func('OrtGetApiBase', 'void *', [])() as bigint
  } catch (error) {
    throw new HastenError('device_unavailable', `cannot load ONNX Runtime from ${file}: ${messageOf(error)}`, {
      hint: 'Install onnxruntime-node for this platform, or use the ort-node adapter.',
      cause: error,
    })
  }
}

import path from 'node:path'
import { HastenError, messageOf, type ErrorCode } from '../../errors.ts'
import { nativeFolder } from './native-files.ts'
import { noFolder } from './safe-loading.ts'

interface ErrorRule {
  readonly pattern: RegExp
  readonly code: ErrorCode
  /** Says it in words a client can act on; the runtime's own text follows. */
  readonly sentence: string
}

const memoryRule: ErrorRule = {
  pattern: /bad_alloc|failed to allocate|out of memory|allocation failed|cannot allocate/i,
  code: 'model_out_of_memory',
  sentence: 'the runtime could not get the memory',
}

const loadRules: readonly ErrorRule[] = [
  memoryRule,
  {
    pattern:
      /(cuda|tensorrt)executionprovider|AppendExecutionProvider_|onnxruntime_providers_|cudnn|cublas|cuda failure/i,
    code: 'device_unavailable',
    sentence: 'the device or its provider library cannot be used here',
  },
  {
    pattern: /unsupported model ir version|max supported ir version/i,
    code: 'model_load_failed',
    sentence: 'the IR version of the model is newer than this runtime reads; export it again with an older one',
  },
  {
    pattern: /opset \d+ is under development|only \*?guarantees\*? support|unsupported opset|no opset import/i,
    code: 'model_load_failed',
    sentence: 'the opset of the model is newer than this runtime knows; export it again with an older one',
  },
  {
    pattern: /external data|external initializer|external_data|outside of .*directory/i,
    code: 'model_load_failed',
    sentence: 'external data of the model is missing or lies outside the folder of its file',
  },
  {
    pattern: /could not find an implementation|not_implemented/i,
    code: 'model_load_failed',
    sentence: 'the runtime has no kernel for an operator with these dtypes',
  },
  {
    pattern: /is not a registered function\/op|no op registered|no schema registered|domain .* is not/i,
    code: 'model_load_failed',
    sentence: 'the model uses an operator that the runtime does not know',
  },
  {
    pattern: /protobuf parsing failed|invalid protobuf|no graph was found|modelproto does not have a graph/i,
    code: 'model_load_failed',
    sentence: 'the bytes are not an ONNX model',
  },
  {
    pattern: /file doesn't exist|no such file|no_suchfile/i,
    code: 'model_load_failed',
    sentence: 'there is no such model file',
  },
]

const runRules: readonly ErrorRule[] = [
  memoryRule,
  {
    pattern: /invalid rank for input|got invalid dimensions for input/i,
    code: 'input_shape',
    sentence: 'an input does not have the dims that the model wants',
  },
  { pattern: /cuda failure|cudnn failure|cublas failure/i, code: 'run_failed', sentence: 'the device failed' },
]

/**
 * A failure to load, in the terms of the error table. HastenErrors pass unchanged.
 * @param modelFolder left out of the detail, which clients read
 */
export function translateLoadError(error: unknown, modelFolder?: string): HastenError {
  return translate(error, loadRules, modelFolder, {
    code: 'model_load_failed',
    sentence: 'the runtime refuses the model',
  })
}

/** A failure to run, in the terms of the error table. HastenErrors pass unchanged. */
export function translateRunError(error: unknown): HastenError {
  return translate(error, runRules, undefined, { code: 'run_failed', sentence: 'the runtime could not run the model' })
}

function translate(
  error: unknown,
  rules: readonly ErrorRule[],
  modelFolder: string | undefined,
  otherwise: Omit<ErrorRule, 'pattern'>,
): HastenError {
  if (error instanceof HastenError) return error
  const message = messageOf(error)
  const { code, sentence } = rules.find(({ pattern }) => pattern.test(message)) ?? otherwise
  return new HastenError(code, `${sentence}: ${cleanMessage(message, modelFolder)}`, { cause: error })
}

const maxMessageLength = 600

/** A root or a relative folder gives nothing away, and taking it out would garble the text. */
function isHidden(folder: string | undefined): folder is string {
  return folder !== undefined && path.isAbsolute(folder) && path.dirname(folder) !== folder
}

/** Drops C++ source positions and the folders of this host, and bounds the length. */
function cleanMessage(message: string, modelFolder: string | undefined): string {
  const folders = [modelFolder, noFolder, process.execPath, nativeFolder()].filter(isHidden)
  const clean = folders
    .reduce((text, folder) => text.replaceAll(folder + path.sep, '').replaceAll(folder, '.'), message)
    .replaceAll(/\S*onnxruntime\S*\.(?:cc|h|cpp):\d+ (?:[^\n]*?\) ?(?:const )?)?/g, '')
    .replaceAll(/\b\w+\.(?:cc|h|cpp):\d+ \w+ /g, '')
    .replaceAll(/\s+/g, ' ')
    .trim()
  return clean.length > maxMessageLength ? `${clean.slice(0, maxMessageLength)}…` : clean
}

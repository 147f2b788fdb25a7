import { InferenceSession, env, listSupportedBackends } from 'onnxruntime-node'
import { HastenError } from '../../../errors.ts'
import { checkSessionOptions } from '../check-options.ts'
import { closedError, trackInFlight } from '../in-flight.ts'
import { hasProviderLibrary } from '../native-files.ts'
import { modelFolder, noFolder } from '../safe-loading.ts'
import type { ProviderChoice, SessionOptions } from '../options.ts'
import type { CreateOptions, ModelSource, Runtime, Session } from '../port.ts'
import { listProviders, providerNames } from '../providers.ts'
import { canceledError, isAborted, turnEventLoop } from '../run-stop.ts'
import { translateLoadError } from '../translate-error.ts'
import { wrapSession } from './session.ts'
import { mapSessionOptions } from './session-options.ts'

/**
 * ONNX Runtime through its public JS binding: the portable fallback, and the oracle of the other adapter.
 *
 * What it cannot do: load and run block the event loop, so runs are serial; an abort or a deadline does not end a
 * run, it is noticed when the run has ended, which then rejects; free dimensions and most provider options are
 * refused, as the binding ignores them; an input of rank 0 takes any rank; bfloat16, float8 and 4-bit tensors and
 * strings with a NUL byte or of invalid UTF-8 are refused; `runBorrowed` copies; nodes are not counted by provider;
 * memory grows a little with each load and release.
 */
export function createOrtNodeRuntime(): Runtime {
  // The binding makes its one environment at the first load, and its log would repeat what errors say.
  env.logLevel = 'fatal'
  const sessions = new Set<Session>()
  const uses = trackInFlight(closedError, async () => {
    await Promise.all([...sessions].map((session) => session.release()))
  })
  return {
    name: 'ort-node',
    version: env.versions.node ?? 'unknown',
    availableProviders: listBackends,
    createSession: (model, options = {}) => uses.use(() => openSession(sessions, model, options)),
    close: () => uses.close(),
  }
}

function listBackends(): string[] {
  const built = new Set(listSupportedBackends().map(({ name }) => name))
  const choices = Object.keys(providerNames) as ProviderChoice['name'][]
  return choices.filter((name) => built.has(name) && hasProviderLibrary(name)).map((name) => providerNames[name])
}

async function openSession(
  sessions: Set<Session>,
  model: ModelSource,
  { session = {}, signal, optimizedModelFile }: CreateOptions,
): Promise<Session> {
  const checked = checkSessionOptions(session)
  if (isAborted(signal)) throw canceledError(signal)
  const native = await loadModel(model, checked, optimizedModelFile).catch((error: unknown) => {
    throw translateLoadError(error, modelFolder(model))
  })
  await turnEventLoop()
  try {
    if (isAborted(signal)) throw canceledError(signal)
    const opened = wrapSession(native, listProviders(checked.providers), () => sessions.delete(opened))
    sessions.add(opened)
    return opened
  } catch (error) {
    await native.release()
    throw error
  }
}

async function loadModel(
  model: ModelSource,
  session: SessionOptions,
  optimizedModelFile?: string,
): Promise<InferenceSession> {
  const extra = optimizedModelFile === undefined ? {} : { optimizedModelFilePath: optimizedModelFile }
  if ('path' in model) {
    if (model.path.includes('\0')) throw new HastenError('model_load_failed', 'the model path has a NUL character')
    return InferenceSession.create(model.path, { ...mapSessionOptions(session), ...extra })
  }
  // The binding takes no SharedArrayBuffer.
  const bytes = model.bytes.buffer instanceof ArrayBuffer ? model.bytes : new Uint8Array(model.bytes)
  const config = { 'session.model_external_initializers_file_folder_path': noFolder }
  return InferenceSession.create(bytes, { ...mapSessionOptions(session, config), ...extra })
}

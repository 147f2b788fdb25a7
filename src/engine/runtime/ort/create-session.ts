import { HastenError } from '../../../errors.ts'
import { checkSessionOptions } from '../check-options.ts'
import { modelFolder, noFolder } from '../safe-loading.ts'
import type { CreateOptions, ModelSource } from '../port.ts'
import type { ProviderChoice } from '../options.ts'
import { listProviders } from '../providers.ts'
import { canceledError, isAborted } from '../run-stop.ts'
import { translateLoadError } from '../translate-error.ts'
import { createSlots, type OrtApi } from './api.ts'
import { createSessionOptions } from './session-options.ts'
import type { Device } from './resident.ts'
import type { RuntimeParts } from './session.ts'

/** A loaded native session, which the caller releases, and the providers it was given. */
export interface NativeSession {
  readonly session: bigint
  readonly providers: readonly string[]
  readonly device: Device
}

/** Loads a model on a thread of libuv's pool. An abort makes the runtime stop loading at its next step. */
export async function createNativeSession(
  { api, env }: RuntimeParts,
  model: ModelSource,
  { session = {}, signal, optimizedModelFile }: CreateOptions,
): Promise<NativeSession> {
  const checked = checkSessionOptions(session)
  if (isAborted(signal)) throw canceledError(signal)
  const options = createSessionOptions(api, checked)
  const cancel = (): void => api.call('SessionOptionsSetLoadCancellationFlag', options, true)
  signal?.addEventListener('abort', cancel)
  try {
    if (optimizedModelFile !== undefined) api.call('SetOptimizedModelFilePath', options, optimizedModelFile)
    const loaded = await loadModel(api, env, model, options)
    const { providers } = checked
    if (!isAborted(signal)) {
      return { session: loaded, providers: listProviders(providers), device: deviceOf(providers) }
    }
    await api.releaseAsync('ReleaseSession', loaded)
    throw canceledError(signal)
  } catch (error) {
    if (isAborted(signal)) throw canceledError(signal)
    throw translateLoadError(error, modelFolder(model))
  } finally {
    signal?.removeEventListener('abort', cancel)
    api.release('ReleaseSessionOptions', options)
  }
}

/** Where the first provider computes: CUDA and TensorRT share the memory of a GPU. */
function deviceOf([first]: readonly ProviderChoice[] = []): Device {
  if (first === undefined || first.name === 'cpu') return { name: 'Cpu', id: 0 }
  return { name: 'Cuda', id: first.options?.device_id ?? 0 }
}

async function loadModel(api: OrtApi, env: bigint, model: ModelSource, options: bigint): Promise<bigint> {
  const slot = createSlots(1)
  if ('path' in model) {
    // C would read the path up to the NUL: another file than the one that was checked.
    if (model.path.includes('\0')) throw new HastenError('model_load_failed', 'the model path has a NUL character')
    await api.callAsync('CreateSession', env, model.path, options, slot)
  } else {
    api.call('AddSessionConfigEntry', options, 'session.model_external_initializers_file_folder_path', noFolder)
    await api.callAsync('CreateSessionFromArray', env, model.bytes, model.bytes.byteLength, options, slot)
  }
  return slot[0] ?? 0n
}

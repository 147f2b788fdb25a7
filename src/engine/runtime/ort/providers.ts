import { HastenError } from '../../../errors.ts'
import type { ProviderChoice } from '../options.ts'
import { providerNames, selectGpuProviders } from '../providers.ts'
import { translateLoadError } from '../translate-error.ts'
import { createSlots, type OrtApi } from './api.ts'
import { decodeStrings, encodeStrings } from './native-strings.ts'

type GpuProvider = Exclude<ProviderChoice['name'], 'cpu'>

/** The four C functions of a provider whose options are key and value strings. */
const providerCalls = {
  cuda: {
    create: 'CreateCudaOptions',
    update: 'UpdateCudaOptions',
    append: 'AppendCudaProvider',
    release: 'ReleaseCudaOptions',
  },
  tensorrt: {
    create: 'CreateTensorRtOptions',
    update: 'UpdateTensorRtOptions',
    append: 'AppendTensorRtProvider',
    release: 'ReleaseTensorRtOptions',
  },
} as const satisfies Record<GpuProvider, object>

/**
 * Execution providers that a session can be asked for here: the library was built with them, and the GPU ones find
 * their own library.
 */
export function listUsableProviders(api: OrtApi): string[] {
  const built = new Set(readProviders(api))
  const choices = Object.keys(providerNames) as ProviderChoice['name'][]
  return choices
    .filter((name) => built.has(providerNames[name]) && isUsable(api, name))
    .map((name) => providerNames[name])
}

function isUsable(api: OrtApi, name: ProviderChoice['name']): boolean {
  const options = api.get('CreateSessionOptions')
  try {
    appendProviders(api, options, [{ name }])
    return true
  } catch {
    // The question is whether it fails; a session that asks for it gets the reason.
    return false
  } finally {
    api.release('ReleaseSessionOptions', options)
  }
}

function readProviders(api: OrtApi): string[] {
  const [list, length] = [createSlots(1), createSlots(1)]
  api.call('GetAvailableProviders', list, length)
  const [pointer, count] = [list[0] ?? 0n, Number(length[0])]
  try {
    return decodeStrings(pointer, count)
  } finally {
    api.call('ReleaseAvailableProviders', pointer, count)
  }
}

/**
 * Appends execution providers in order of preference.
 * @throws HastenError `device_unavailable` when a provider can't be loaded or its device is absent.
 */
export function appendProviders(api: OrtApi, options: bigint, choices: readonly ProviderChoice[]): void {
  for (const { name, options: values } of selectGpuProviders(choices)) {
    appendProvider(api, options, name, values ?? {})
  }
}

function appendProvider(
  api: OrtApi,
  options: bigint,
  name: GpuProvider,
  values: Readonly<Record<string, string | number | boolean>>,
): void {
  const calls = providerCalls[name]
  try {
    const provider = api.get(calls.create)
    try {
      const keys = encodeStrings(Object.keys(values))
      const texts = encodeStrings(Object.values(values).map(formatValue))
      api.call(calls.update, provider, keys.pointers, texts.pointers, Object.keys(values).length)
      api.call(calls.append, options, provider)
    } finally {
      api.release(calls.release, provider)
    }
  } catch (error) {
    const { message } = translateLoadError(error)
    throw new HastenError('device_unavailable', `${providerNames[name]}: ${message}`, { cause: error })
  }
}

/** ONNX Runtime reads booleans as 1 and 0 for both providers. */
function formatValue(value: string | number | boolean): string {
  return typeof value === 'boolean' ? String(Number(value)) : String(value)
}

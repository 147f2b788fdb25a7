import type { SessionOptions } from '../options.ts'
import type { OrtApi } from './api.ts'
import { onnxOnly } from '../safe-loading.ts'
import { recordPlacement } from './placement.ts'
import { appendProviders } from './providers.ts'

type Setters = {
  readonly [Key in keyof Required<SessionOptions>]: (
    api: OrtApi,
    options: bigint,
    value: NonNullable<SessionOptions[Key]>,
  ) => void
}

const optimizationLevels = { disabled: 0, basic: 1, extended: 2, all: 99 } as const
const executionModes = { sequential: 0, parallel: 1 } as const

/** A table row for an option that is a configuration entry, or several with the same value. */
function configEntry(...keys: readonly string[]) {
  return (api: OrtApi, options: bigint, value: boolean): void => {
    for (const key of keys) api.call('AddSessionConfigEntry', options, key, value ? '1' : '0')
  }
}

const setters: Setters = {
  intraOpThreads: (api, options, value) => api.call('SetIntraOpNumThreads', options, value),
  interOpThreads: (api, options, value) => api.call('SetInterOpNumThreads', options, value),
  optimizationLevel: (api, options, value) =>
    api.call('SetSessionGraphOptimizationLevel', options, optimizationLevels[value]),
  executionMode: (api, options, value) => api.call('SetSessionExecutionMode', options, executionModes[value]),
  spinning: configEntry('session.intra_op.allow_spinning', 'session.inter_op.allow_spinning'),
  memoryPattern: (api, options, value) => api.call(value ? 'EnableMemPattern' : 'DisableMemPattern', options),
  cpuMemoryArena: (api, options, value) => api.call(value ? 'EnableCpuMemArena' : 'DisableCpuMemArena', options),
  x64QuantPrecision: configEntry('session.x64quantprecision'),
  freeDimensions: (api, options, sizes) => {
    for (const [name, size] of Object.entries(sizes)) {
      api.call('AddFreeDimensionOverrideByName', options, name, size)
    }
  },
  logSeverity: (api, options, value) => api.call('SetSessionLogSeverityLevel', options, value),
  providers: appendProviders,
}

/**
 * A native session options object, which the caller releases. Options that are absent keep the runtime's defaults,
 * except the log: everything of severity error also comes back as a status, so only fatal lines go to stderr.
 */
export function createSessionOptions(api: OrtApi, session: SessionOptions): bigint {
  const options = api.get('CreateSessionOptions')
  try {
    api.call('AddSessionConfigEntry', options, recordPlacement, '1')
    for (const [key, value] of Object.entries(onnxOnly)) api.call('AddSessionConfigEntry', options, key, value)
    applyOptions(api, options, { logSeverity: 4, ...session })
    return options
  } catch (error) {
    api.release('ReleaseSessionOptions', options)
    throw error
  }
}

function applyOptions(api: OrtApi, options: bigint, session: SessionOptions): void {
  for (const key of Object.keys(session) as (keyof SessionOptions)[]) applyOption(api, options, key, session[key])
}

function applyOption<Key extends keyof SessionOptions>(
  api: OrtApi,
  options: bigint,
  key: Key,
  value: SessionOptions[Key],
): void {
  if (value !== undefined) setters[key](api, options, value)
}

import type { InferenceSession } from 'onnxruntime-node'
import { HastenError } from '../../../errors.ts'
import { onnxOnly } from '../safe-loading.ts'
import type { SessionOptions } from '../options.ts'
import { selectGpuProviders } from '../providers.ts'

type BindingOptions = InferenceSession.SessionOptions
type Fragment = Omit<BindingOptions, 'extra'> & { readonly config?: Readonly<Record<string, string>> }
type Mappers = {
  readonly [Key in keyof Required<SessionOptions>]: (value: NonNullable<SessionOptions[Key]>) => Fragment
}

const configEntry =
  (...keys: readonly string[]) =>
  (value: boolean): Fragment => ({ config: Object.fromEntries(keys.map((key) => [key, value ? '1' : '0'])) })

const mappers: Mappers = {
  intraOpThreads: (value) => ({ intraOpNumThreads: value }),
  interOpThreads: (value) => ({ interOpNumThreads: value }),
  optimizationLevel: (value) => ({ graphOptimizationLevel: value }),
  executionMode: (value) => ({ executionMode: value }),
  spinning: configEntry('session.intra_op.allow_spinning', 'session.inter_op.allow_spinning'),
  memoryPattern: (value) => ({ enableMemPattern: value }),
  cpuMemoryArena: (value) => ({ enableCpuMemArena: value }),
  x64QuantPrecision: configEntry('session.x64quantprecision'),
  freeDimensions: () => {
    throw unsupported('freeDimensions')
  },
  logSeverity: (value) => ({ logSeverityLevel: value as 0 | 1 | 2 | 3 | 4 }),
  providers: (choices) => ({
    executionProviders: selectGpuProviders(choices).map(({ name, options = {} }) => {
      const { device_id: deviceId, ...others } = options
      const [key] = Object.keys(others)
      if (key !== undefined) throw unsupported(`providers/${name}/${key}`)
      return deviceId === undefined ? { name } : { name, deviceId }
    }),
  }),
}

/** The binding silently ignores these, which would be a wrong measurement. */
function unsupported(key: string): HastenError {
  return new HastenError('session_option_invalid', `session options: the ort-node adapter cannot set ${key}`, {
    hint: 'Use the ort adapter, which passes every option on.',
  })
}

/**
 * The binding's form of checked session options. `config` adds configuration entries.
 * @throws HastenError `session_option_invalid` for an option that the binding would ignore.
 */
export function mapSessionOptions(
  session: SessionOptions,
  config: Readonly<Record<string, string>> = {},
): BindingOptions {
  const options: BindingOptions = { logSeverityLevel: 4 }
  const entries = { ...config, ...onnxOnly }
  for (const key of Object.keys(session) as (keyof SessionOptions)[]) {
    const { config: more, ...fragment } = mapOption(key, session[key])
    Object.assign(options, fragment)
    Object.assign(entries, more)
  }
  return { ...options, extra: nestEntries(entries) }
}

function mapOption<Key extends keyof SessionOptions>(key: Key, value: SessionOptions[Key]): Fragment {
  return value === undefined ? {} : mappers[key](value)
}

interface Nested {
  [key: string]: Nested | string
}

/** The binding joins nested keys with dots: `a.b` is `{ a: { b } }` to it. */
function nestEntries(entries: Readonly<Record<string, string>>): Nested {
  const root: Nested = {}
  for (const [key, value] of Object.entries(entries)) {
    const parts = key.split('.')
    const last = parts.pop() ?? key
    let level = root
    for (const part of parts) level = (level[part] ??= {}) as Nested
    level[last] = value
  }
  return root
}

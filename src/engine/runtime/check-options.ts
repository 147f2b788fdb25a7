import type { TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { HastenError, type ErrorItem } from '../../errors.ts'
import { providerSchemas, sessionOptionsSchema, type SessionOptions } from './options.ts'

/**
 * Session options as the closed schema allows them.
 * @throws HastenError `session_option_invalid` naming every offending key.
 */
export function checkSessionOptions(options: unknown): SessionOptions {
  if (Value.Check(sessionOptionsSchema, options)) return options
  const errors = [...listErrors(sessionOptionsSchema, withoutChoices(options), ''), ...listProviderErrors(options)]
  const named = errors.map(({ pointer, detail }) => `${pointer || 'the whole'} ${detail}`).join('; ')
  throw new HastenError('session_option_invalid', `session options: ${named}`, { errors })
}

/** The union of providers would report errors of every branch: its members are checked one by one instead. */
function withoutChoices(options: unknown): unknown {
  const providers = (options as { providers?: unknown } | null)?.providers
  if (!Array.isArray(providers)) return options
  return { ...(options as object), providers: providers.map(() => ({ name: 'cpu' })) }
}

function listErrors(schema: TSchema, value: unknown, prefix: string): ErrorItem[] {
  return Value.Errors(schema, value)
    .filter(({ keyword }) => keyword !== 'additionalProperties')
    .map(({ keyword, instancePath, message }) => ({
      pointer: prefix + instancePath,
      // The only `false` schemas are those of keys that a closed object does not have.
      detail: keyword === 'boolean' ? 'is not an option' : message,
    }))
}

function listProviderErrors(options: unknown): ErrorItem[] {
  const providers = (options as { providers?: unknown } | null)?.providers
  if (!Array.isArray(providers)) return []
  return providers.flatMap((choice: unknown, index) => {
    const pointer = `/providers/${index}`
    const name = (choice as { name?: unknown } | null)?.name
    const schema = Object.entries(providerSchemas).find(([key]) => key === name)?.[1]
    if (schema !== undefined) return listErrors(schema, choice, pointer)
    return [{ pointer: `${pointer}/name`, detail: `must be one of ${Object.keys(providerSchemas).join(', ')}` }]
  })
}

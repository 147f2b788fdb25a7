import { Value } from 'typebox/value'
import { HastenError, messageOf } from '../../errors.ts'
import { metadataSchema, type Metadata } from '../schemas/common.ts'
import { depthOf } from '../plugins/body.ts'

const namePattern = /^[a-z0-9][a-z0-9._-]{0,127}$/

/** Refuses form fields the route does not know. */
export function refuseUnknownFields(fields: Readonly<Record<string, string>>, known: readonly string[]): void {
  const unknown = Object.keys(fields).filter((name) => !known.includes(name))
  if (unknown.length === 0) return
  const errors = unknown.map((name) => ({ pointer: `/${name}`, detail: 'is not a known field' }))
  throw new HastenError('invalid_request', `The form may have file, ${known.join(', ')}.`, { errors })
}

/**
 * The name a client gave, or one made from the file's name.
 * @throws HastenError `invalid_name` for a given name that is none
 */
export function readName(given: string | undefined, filename: string): string {
  if (given === undefined) return nameFromFile(filename)
  if (namePattern.test(given)) return given
  throw new HastenError('invalid_name', `${JSON.stringify(given)} is not a name.`, {
    errors: [{ pointer: '/name', detail: 'must match ^[a-z0-9][a-z0-9._-]{0,127}$' }],
  })
}

function nameFromFile(filename: string): string {
  const stem = filename.replace(/\.(onnx|zip|tar|npz|npy)$/i, '')
  const name = stem
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .slice(0, 128)
  if (namePattern.test(name)) return name
  throw new HastenError('invalid_name', 'The file has no usable name, and the form has no field name.')
}

/** @throws HastenError `invalid_request` for metadata that is not a flat object of short strings */
export function readMetadata(text: string | undefined): Metadata {
  if (text === undefined || text === '') return {}
  if (depthOf(text) > 2) throw badMetadata('is not flat')
  const value = parseJson(text)
  if (Value.Check(metadataSchema, value)) return value
  throw badMetadata('must be an object of at most 16 strings, keys to 64 and values to 512 characters')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw badMetadata(`is not JSON: ${messageOf(error)}`)
  }
}

function badMetadata(detail: string): HastenError {
  return new HastenError('invalid_request', `The field metadata ${detail}.`, {
    errors: [{ pointer: '/metadata', detail }],
  })
}

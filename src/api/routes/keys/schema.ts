import { Type } from 'typebox'
import type { ApiKeyRow } from '../../../storage/index.ts'
import { scopes } from '../../route.ts'
import { closed, formatTime, formatTimeOrNull, idOf, nullable, timestamp } from '../../schemas/common.ts'

const keyFields = {
  id: idOf('key'),
  object: Type.Literal('key'),
  project: Type.String(),
  name: Type.String(),
  prefix: Type.String({ description: 'First characters of the secret.' }),
  scopes: Type.Array(Type.Enum([...scopes])),
  expires_at: nullable(timestamp),
  last_used_at: nullable(timestamp),
  created_at: timestamp,
}

export const keySchema = Type.Object(keyFields, closed)

export const createdKeySchema = Type.Object(
  { ...keyFields, secret: nullable(Type.String({ description: 'Shown once; null when the answer is repeated.' })) },
  closed,
)

export const newKeySchema = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 128 }),
    scopes: Type.Array(Type.Enum([...scopes]), { minItems: 1, uniqueItems: true }),
    expires_at: Type.Optional(nullable(timestamp)),
  },
  closed,
)

export function renderKey(row: ApiKeyRow) {
  return {
    id: row.id,
    object: 'key' as const,
    project: row.project,
    name: row.name,
    prefix: row.prefix,
    scopes: [...row.scopes] as (typeof scopes)[number][],
    expires_at: formatTimeOrNull(row.expiresAt),
    last_used_at: formatTimeOrNull(row.lastUsedAt),
    created_at: formatTime(row.createdAt),
  }
}

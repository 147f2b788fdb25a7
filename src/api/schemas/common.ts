import { Type, type Static, type TSchema } from 'typebox'
import { errorTable, type ErrorCode } from '../../errors.ts'

/** Objects are closed: an unknown key in a request is an error, and an answer holds only what its schema lists. */
export const closed = { additionalProperties: false } as const

export const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])

type IdPrefix = 'mdl' | 'dst' | 'rcp' | 'job' | 'dep' | 'hst' | 'key' | 'whk' | 'dlv'

const idPattern = (prefix: IdPrefix) => `^${prefix}_[0-9a-hjkmnp-tv-z]{26}$`

export const idOf = (prefix: IdPrefix, description?: string) =>
  Type.String({ pattern: idPattern(prefix), ...(description === undefined ? {} : { description }) })

export const idParams = (prefix: IdPrefix) => Type.Object({ id: idOf(prefix) }, closed)

export const nameSchema = Type.String({
  pattern: '^[a-z0-9][a-z0-9._-]{0,127}$',
  description: 'Lower-case letters, digits, dot, underscore and hyphen; at most 128 characters.',
})

export const nameParams = Type.Object({ name: nameSchema }, closed)

export const timestamp = Type.String({ format: 'date-time' })

/** JSON of a shape that is not fixed here, such as a verdict; kept as it is in answers. */
export const openObject = (description: string) => Type.Object({}, { additionalProperties: true, description })

export const metadataSchema = Type.Record(
  Type.String({ pattern: '^[^\\u0000-\\u001f]{1,64}$' }),
  Type.String({ maxLength: 512 }),
  { maxProperties: 16, description: 'At most 16 own labels: keys to 64 characters, values to 512.' },
)
export type Metadata = Static<typeof metadataSchema>

export const pageQuery = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })),
  after: Type.Optional(Type.String({ maxLength: 64, description: '`next_cursor` of the page before.' })),
}

export const pageQuerySchema = Type.Object(pageQuery, closed)

export const listOf = <T extends TSchema>(item: T) =>
  Type.Object(
    {
      object: Type.Literal('list'),
      data: Type.Array(item),
      has_more: Type.Boolean(),
      next_cursor: nullable(Type.String()),
    },
    closed,
  )

export const deletedSchema = Type.Object(
  { id: Type.String(), object: Type.String(), deleted: Type.Literal(true) },
  closed,
)

const errorItemSchema = Type.Object(
  {
    pointer: Type.String({ description: 'JSON Pointer of the wrong field.' }),
    detail: Type.String(),
    line: Type.Optional(Type.Integer({ minimum: 1 })),
    column: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  closed,
)

export const errorCodeSchema = Type.Enum(Object.keys(errorTable) as ErrorCode[])

/** An error inside a resource: a failed job, a deployment that does not load. */
export const embeddedErrorSchema = Type.Object(
  {
    code: errorCodeSchema,
    detail: Type.String(),
    hint: Type.String(),
    errors: Type.Array(errorItemSchema),
  },
  closed,
)

/** RFC 9457 problem details, with `error` as Open Inference clients read it. */
export const problemSchema = Type.Object(
  {
    type: Type.String({ description: 'Address of the row in docs/errors.md.' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    instance: Type.String({ description: 'The request id, as in the log.' }),
    code: errorCodeSchema,
    errors: Type.Array(errorItemSchema),
    hint: Type.String(),
    error: Type.String({ description: 'The same as `detail`, for Open Inference clients.' }),
  },
  closed,
)

/** What every repository returns of a list. */
interface RowPage<Row> {
  readonly rows: readonly Row[]
  readonly nextCursor: string | null
}

export function toPage<Row, Item>({ rows, nextCursor }: RowPage<Row>, render: (row: Row) => Item) {
  return {
    object: 'list' as const,
    data: rows.map((row) => render(row)),
    has_more: nextCursor !== null,
    next_cursor: nextCursor,
  }
}

export const formatTime = (date: Date): string => date.toISOString()
export const formatTimeOrNull = (date: Date | null | undefined): string | null => date?.toISOString() ?? null

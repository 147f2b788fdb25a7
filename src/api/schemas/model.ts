import { Type, type Static } from 'typebox'
import { closed, idOf, metadataSchema, nameSchema, nullable, openObject, timestamp } from './common.ts'

export const tensorInfoSchema = Type.Object(
  {
    name: Type.String(),
    dtype: Type.String(),
    dims: Type.Array(Type.Union([Type.Integer(), Type.String(), Type.Null()]), {
      description: 'A number, the name of a dynamic dim, or null for an unnamed one.',
    }),
  },
  { additionalProperties: true },
)

export const signatureSchema = Type.Object(
  {
    inputs: Type.Array(tensorInfoSchema),
    outputs: Type.Array(tensorInfoSchema),
    opset: Type.Record(Type.String(), Type.Integer(), { description: 'Operator set version by domain.' }),
    ir_version: Type.Integer(),
    producer: Type.Optional(nullable(Type.String())),
    parameters: Type.Integer(),
    size_bytes: Type.Integer(),
    flops: nullable(Type.Number({ description: 'Estimate for one run at the smallest dims.' })),
    ops: Type.Record(Type.String(), Type.Integer(), { description: 'How often each operator occurs.' }),
  },
  { additionalProperties: true },
)

export const modelSchema = Type.Object(
  {
    id: idOf('mdl'),
    object: Type.Literal('model'),
    project: Type.String(),
    name: nameSchema,
    sha256: Type.String(),
    size_bytes: Type.Integer(),
    files: Type.Array(Type.Object({ name: Type.String(), sha256: Type.String(), size_bytes: Type.Integer() }, closed), {
      description: 'The .onnx first, then its external data.',
    }),
    signature: signatureSchema,
    admission: nullable(openObject('What admission found.')),
    session: openObject('Session options a job chose for this model.'),
    parent: nullable(idOf('mdl', 'The model this one was made from.')),
    job: nullable(idOf('job', 'The job that made it.')),
    metadata: metadataSchema,
    created_at: timestamp,
    links: Type.Object({ self: Type.String(), content: Type.String() }, closed),
  },
  closed,
)
export type ModelResource = Static<typeof modelSchema>

export const datasetSchema = Type.Object(
  {
    id: idOf('dst'),
    object: Type.Literal('dataset'),
    project: Type.String(),
    name: nameSchema,
    sha256: Type.String(),
    size_bytes: Type.Integer(),
    samples: Type.Integer(),
    arrays: Type.Array(tensorInfoSchema),
    labels: nullable(Type.String({ description: 'Name of the array that holds the labels.' })),
    metadata: metadataSchema,
    created_at: timestamp,
    links: Type.Object({ self: Type.String() }, closed),
  },
  closed,
)
export type DatasetResource = Static<typeof datasetSchema>

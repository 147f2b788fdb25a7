import { Type, type Static } from 'typebox'
import { closed, metadataSchema, nameSchema } from '../../schemas/common.ts'

const arraySchema = Type.Object(
  {
    name: Type.String(),
    dtype: Type.String(),
    dims: Type.Array(Type.Integer(), { description: 'Of one sample.' }),
  },
  closed,
)

export const capturedSchema = Type.Object(
  {
    object: Type.Literal('captured_samples'),
    deployment: nameSchema,
    samples: Type.Integer({ description: 'Of the most frequent form: those a dataset would have.' }),
    size_bytes: Type.Integer(),
    arrays: Type.Array(arraySchema),
    other_samples: Type.Integer({ description: 'Of other dims, which a dataset would leave out.' }),
  },
  closed,
)
export type CapturedResource = Static<typeof capturedSchema>

export const newCapturedDataset = Type.Object(
  {
    name: Type.Optional(nameSchema),
    metadata: Type.Optional(metadataSchema),
  },
  closed,
)

import { Type, type Static, type TSchema } from 'typebox'
import { passSchemas, type PassName } from '../passes/options/index.ts'

const closed = { additionalProperties: false } as const

const stepSchemas: TSchema[] = Object.entries(passSchemas).map(([name, pass]) =>
  Type.Object(
    { pass: Type.Literal(name, { description: pass.title }), options: Type.Optional(pass.options) },
    { ...closed, title: name },
  ),
)

const recipeFields = {
  version: Type.Literal(1, { description: 'Version of the recipe format.' }),
  name: Type.Optional(
    Type.String({ pattern: '^[a-z0-9][a-z0-9._-]{0,127}$', description: 'Name to store the recipe under.' }),
  ),
  description: Type.Optional(Type.String({ maxLength: 2000 })),
}
const stepLimits = { minItems: 1, maxItems: 32, description: 'Passes in the order they run.' } as const

/** JSON Schema of a recipe for editors and the API: closed, with the options of each pass spelled out. */
export const recipeSchema = Type.Object(
  { ...recipeFields, steps: Type.Array(Type.Union(stepSchemas), stepLimits) },
  { ...closed, title: 'Hasten recipe' },
)

/** The same without the options: the parser checks those by the pass, so that an error names one key, not a union. */
export const recipeOutlineSchema = Type.Object(
  {
    ...recipeFields,
    steps: Type.Array(
      Type.Object({ pass: Type.String(), options: Type.Optional(Type.Record(Type.String(), Type.Unknown())) }, closed),
      stepLimits,
    ),
  },
  closed,
)

/** One pass with its options, defaults filled in. */
export interface RecipeStep {
  readonly pass: PassName
  readonly options: Readonly<Record<string, unknown>>
}

/** A parsed recipe. */
export interface Recipe {
  readonly version: 1
  readonly name?: string
  readonly description?: string
  readonly steps: readonly RecipeStep[]
}

export type RecipeOutline = Static<typeof recipeOutlineSchema>

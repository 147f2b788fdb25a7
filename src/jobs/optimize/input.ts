import { Type, type Static } from 'typebox'
import { Value } from 'typebox/value'
import { HastenError } from '../../errors.ts'
import type { JobRow } from '../../storage/index.ts'
import { deviceClasses } from '../queues.ts'

const targetSchema = Type.Object({
  device: Type.Enum([...deviceClasses]),
  threads: Type.Integer({ minimum: 1 }),
  batch: Type.Integer({ minimum: 1 }),
})

const recipeSchema = Type.Object({
  name: Type.String(),
  /** Checked by the recipe parser. */
  body: Type.Object({}),
})

export type OptimizeTarget = Static<typeof targetSchema>

/** What a job row asks for, checked: the row may have been written by another version. */
export interface OptimizeInput {
  readonly target: OptimizeTarget
  readonly recipeName: string
  readonly recipeBody: object
}

/** @throws HastenError `internal` when the row isn't of this version's form */
export function readInput({ target, recipe }: Pick<JobRow, 'target' | 'recipe'>): OptimizeInput {
  if (!Value.Check(targetSchema, target)) throw new HastenError('internal', 'The target of the job row is malformed.')
  if (!Value.Check(recipeSchema, recipe)) throw new HastenError('internal', 'The recipe of the job row is malformed.')
  return { target, recipeName: recipe.name, recipeBody: recipe.body }
}

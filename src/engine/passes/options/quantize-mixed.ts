import { Type } from 'typebox'
import { qualityBudget } from './quality-budget.ts'
import { quantizeStaticOptions } from './quantize-static.ts'

export const quantizeMixedOptions = Type.Object(
  {
    ...quantizeStaticOptions.properties,
    ...qualityBudget,
    maxNodes: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1024,
        default: 64,
        description: 'Most layers that are tried one by one; those that gain least are reverted with the search done.',
      }),
    ),
  },
  { additionalProperties: false },
)

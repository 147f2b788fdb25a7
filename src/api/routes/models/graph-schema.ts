import { Type, type Static } from 'typebox'
import { closed, idOf, nullable } from '../../schemas/common.ts'

export const graphQuery = Type.Object(
  { after: Type.Optional(Type.String({ maxLength: 16, description: '`next_cursor` of the page before.' })) },
  closed,
)

const tensorFields = {
  name: Type.String(),
  dtype: nullable(Type.String()),
  dims: nullable(Type.Array(Type.Union([Type.Integer(), Type.String(), Type.Null()]))),
}

const nodeSchema = Type.Object(
  {
    index: Type.Integer({ description: 'Place in the list of all nodes, which edges refer to.' }),
    name: Type.String(),
    op: Type.String({ description: '`domain:Op` outside ai.onnx.' }),
    graph: Type.String({ description: 'Empty for the main graph, else node and attribute that hold the subgraph.' }),
    inputs: Type.Array(nullable(Type.Object({ ...tensorFields, constant: Type.Boolean() }, closed)), {
      description: 'null for an optional input left out.',
    }),
    outputs: Type.Array(Type.Object(tensorFields, closed)),
    flops: nullable(Type.Number({ description: 'Two per multiply-accumulate of one run, dynamic dims counted as 1.' })),
    bytes_moved: nullable(Type.Number({ description: 'Bytes read and written, weights included.' })),
    parameters: Type.Integer({ description: 'Elements of its constant inputs.' }),
    traits: Type.Array(Type.String()),
  },
  closed,
)

const edgeSchema = Type.Object(
  {
    from: Type.Integer(),
    to: Type.Integer(),
    input: Type.Integer({ description: 'Which input of the reader.' }),
    ...tensorFields,
  },
  closed,
)

const graphPage = { nodes: Type.Array(nodeSchema), edges: Type.Array(edgeSchema) }

const graphPageSchema = Type.Object(graphPage)
export type GraphPage = Static<typeof graphPageSchema>

export const graphSchema = Type.Object(
  {
    object: Type.Literal('graph'),
    model: idOf('mdl'),
    total: Type.Object({ nodes: Type.Integer(), edges: Type.Integer() }, closed),
    ...graphPage,
    has_more: Type.Boolean(),
    next_cursor: nullable(Type.String()),
  },
  {
    ...closed,
    description: 'Pages of 100 nodes in topological order, at most 50,000 in all, each with the edges into its nodes.',
  },
)

import { Type } from 'typebox'
import type { ErrorCode } from '../../errors.ts'

type Json = Record<string, unknown>
type DescribeErrors = (codes: readonly ErrorCode[]) => Json

const parameters = Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()]))
const tensor = {
  name: Type.String(),
  shape: Type.Array(Type.Integer({ minimum: 0 })),
  datatype: Type.String({ examples: ['FP32', 'INT64', 'BYTES'] }),
  parameters: Type.Optional(parameters),
  data: Type.Optional(
    Type.Array(Type.Unknown(), { description: 'Flat or nested, row-major; absent when sent binary.' }),
  ),
}
const tensorMetadata = Type.Object({
  name: Type.String(),
  datatype: Type.String(),
  shape: Type.Array(Type.Integer(), { description: '-1 stands for any size.' }),
})

/** Schemas of the data plane; its routes live in another process, so the document describes them here. */
export const inferenceSchemas = {
  InferRequest: Type.Object({
    id: Type.Optional(Type.String()),
    parameters: Type.Optional(parameters),
    inputs: Type.Array(Type.Object(tensor), { minItems: 1 }),
    outputs: Type.Optional(Type.Array(Type.Object({ name: Type.String(), parameters: Type.Optional(parameters) }))),
  }),
  InferResponse: Type.Object({
    model_name: Type.String(),
    model_version: Type.String(),
    id: Type.Optional(Type.String()),
    parameters: Type.Optional(parameters),
    outputs: Type.Array(Type.Object(tensor)),
  }),
  InferModel: Type.Object({
    name: Type.String(),
    versions: Type.Array(Type.String()),
    platform: Type.String(),
    inputs: Type.Array(tensorMetadata),
    outputs: Type.Array(tensorMetadata),
  }),
  InferServer: Type.Object({ name: Type.String(), version: Type.String(), extensions: Type.Array(Type.String()) }),
}

const inferErrors = [
  'input_missing',
  'input_unknown',
  'input_dtype',
  'input_shape',
  'input_data',
  'body_too_large',
  'tensor_too_large',
  'run_canceled',
  'run_failed',
  'run_deadline',
  'deployment_not_ready',
] as const satisfies readonly ErrorCode[]

const protectedErrors = ['unauthorized', 'forbidden', 'not_found', 'overloaded', 'internal'] as const

const modelParameter = { name: 'name', in: 'path', required: true, schema: { type: 'string' } }
const versionParameter = { name: 'version', in: 'path', required: true, schema: { type: 'string' } }

interface InferOperation {
  readonly id: string
  readonly verb: 'get' | 'post'
  readonly path: string
  readonly summary: string
  readonly answer: keyof typeof inferenceSchemas | null
  readonly errors: readonly ErrorCode[]
  readonly open?: boolean
}

const operations: readonly InferOperation[] = [
  {
    id: 'inferServer',
    verb: 'get',
    path: '/v2',
    summary: 'Server and its extensions',
    answer: 'InferServer',
    errors: ['internal'],
    open: true,
  },
  {
    id: 'inferLive',
    verb: 'get',
    path: '/v2/health/live',
    summary: 'The data plane is alive',
    answer: null,
    errors: ['internal'],
    open: true,
  },
  {
    id: 'inferReady',
    verb: 'get',
    path: '/v2/health/ready',
    summary: 'The data plane takes requests',
    answer: null,
    errors: ['unavailable'],
    open: true,
  },
  ...perModel('', 'inferModel', 'get', 'Inputs and outputs of a deployment', 'InferModel', protectedErrors),
  ...perModel('/ready', 'inferModelReady', 'get', 'The deployment answers', null, [
    ...protectedErrors,
    'deployment_not_ready',
  ]),
  ...perModel('/infer', 'infer', 'post', 'Run the model', 'InferResponse', [...protectedErrors, ...inferErrors]),
]

function perModel(
  suffix: string,
  id: string,
  verb: InferOperation['verb'],
  summary: string,
  answer: InferOperation['answer'],
  errors: readonly ErrorCode[],
): InferOperation[] {
  const common = { verb, summary, answer, errors }
  return [
    { ...common, id, path: `/v2/models/{name}${suffix}` },
    { ...common, id: `${id}Version`, path: `/v2/models/{name}/versions/{version}${suffix}` },
  ]
}

/** OpenAPI path items of the Open Inference Protocol. */
export function inferencePaths(describeErrors: DescribeErrors): Record<string, Record<string, Json>> {
  const paths: Record<string, Record<string, Json>> = {}
  for (const operation of operations) {
    paths[operation.path] = { ...paths[operation.path], [operation.verb]: describeOperation(operation, describeErrors) }
  }
  return paths
}

function describeOperation(
  { id, verb, path, summary, answer, errors, open }: InferOperation,
  describeErrors: DescribeErrors,
): Json {
  const parameters = [modelParameter, versionParameter].filter(({ name }) => path.includes(`{${name}}`))
  return {
    operationId: id,
    tags: ['inference'],
    summary,
    parameters,
    ...(open === true ? {} : { security: [{ key: [] }], description: 'Scope: `predict`.' }),
    ...(verb === 'post' ? { requestBody: inferBody } : {}),
    responses: { 200: describeAnswer(answer), ...describeErrors(errors) },
  }
}

const reference = (name: string) => ({ schema: { $ref: `#/components/schemas/${name}` } })
const binary = {
  schema: { type: 'string', description: 'JSON followed by raw tensors: the binary_tensor_data extension.' },
}

const inferBody = {
  required: true,
  content: { 'application/json': reference('InferRequest'), 'application/octet-stream': binary },
}

function describeAnswer(answer: InferOperation['answer']): Json {
  if (answer === null) return { description: 'Yes' }
  return { description: 'The answer', content: { 'application/json': reference(answer) } }
}

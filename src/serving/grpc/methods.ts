import {
  create,
  fromBinary,
  fromJson,
  toBinary,
  type DescMessage,
  type JsonValue,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf'
import { HastenError, messageOf } from '../../errors.ts'
import { defaultLimits } from '../limits.ts'
import { modelConfig, modelMetadata, modelStatistics } from '../protocol/model-documents.ts'
import { extensions } from '../protocol/routes/open.ts'
import { indexEntry, refuseOverrides } from '../protocol/routes/repository.ts'
import type { Catalog, Routing, ServedVersion } from '../served-version.ts'
import type { CallContext, GrpcDeps } from './call.ts'
import * as wire from './generated/inference_pb.js'
import { inferMessage } from './infer.ts'

/** Answers the bytes of one request; the project is that of the caller's key. */
export type Answer = (request: Buffer, project: string, context: CallContext) => Uint8Array | Promise<Uint8Array>

export interface Methods {
  /** Need no key. */
  readonly open: Readonly<Record<string, Answer>>
  readonly keyed: Readonly<Record<string, Answer>>
  /** Need a key that may decide what is loaded. */
  readonly deploying: Readonly<Record<string, Answer>>
  /** One message of ModelStreamInfer. */
  readonly stream: Answer
}

export function createMethods(deps: GrpcDeps): Methods {
  const { catalog } = deps
  return {
    open: serverMethods(deps),
    keyed: { ...modelMethods(catalog), ...repositoryMethods(catalog), modelInfer: inferMethod(deps) },
    deploying: deployingMethods(catalog),
    stream: streamMethod(deps),
  }
}

function serverMethods({ catalog, version, stopping }: GrpcDeps): Record<string, Answer> {
  return {
    serverLive: method(wire.ServerLiveRequestSchema, wire.ServerLiveResponseSchema, () => ({ live: true })),
    serverReady: method(wire.ServerReadyRequestSchema, wire.ServerReadyResponseSchema, () => ({
      ready: stopping?.aborted !== true && catalog.unready() === undefined,
    })),
    serverMetadata: method(wire.ServerMetadataRequestSchema, wire.ServerMetadataResponseSchema, () => ({
      name: 'hasten',
      version,
      extensions,
    })),
  }
}

function modelMethods(catalog: Catalog): Record<string, Answer> {
  const find = ({ name, version }: { name: string; version: string }, project: string) =>
    findModel(catalog, project, { name, version })
  return {
    modelReady: method(wire.ModelReadyRequestSchema, wire.ModelReadyResponseSchema, (request, project) => ({
      ready: isReady(catalog, () => find(request, project)),
    })),
    modelMetadata: method(wire.ModelMetadataRequestSchema, wire.ModelMetadataResponseSchema, (request, project) => {
      const model = find(request, project)
      return fromDocument(wire.ModelMetadataResponseSchema, modelMetadata(model, catalog.loaded(project, model.name)))
    }),
    modelConfig: method(wire.ModelConfigRequestSchema, wire.ModelConfigResponseSchema, (request, project) =>
      fromDocument(wire.ModelConfigResponseSchema, { config: modelConfig(find(request, project)) }),
    ),
    modelStatistics: method(
      wire.ModelStatisticsRequestSchema,
      wire.ModelStatisticsResponseSchema,
      (request, project) => {
        const models = statisticsModels(catalog, project, request)
        return fromDocument(wire.ModelStatisticsResponseSchema, { model_stats: models.map(modelStatistics) })
      },
    ),
  }
}

/** Without a version those of every one that answers, without a name those of all models. */
function statisticsModels(catalog: Catalog, project: string, asked: { name: string; version: string }) {
  if (asked.name === '') return catalog.list(project)
  const model = findModel(catalog, project, asked)
  return asked.version === '' ? catalog.loaded(project, asked.name) : [model]
}

/** An empty version is none, as protobuf leaves it. */
function findModel(
  catalog: Catalog,
  project: string,
  { name, version }: { readonly name: string; readonly version: string },
  routing?: Routing,
): ServedVersion {
  return catalog.find(project, name, version === '' ? undefined : version, routing)
}

/** Not known, not loaded and no longer working are all the same here: the protocol asks for a plain no. */
function isReady(catalog: Catalog, find: () => ServedVersion): boolean {
  try {
    catalog.checkReady(find())
    return true
  } catch (error) {
    if (error instanceof HastenError) return false
    throw error
  }
}

function repositoryMethods(catalog: Catalog): Record<string, Answer> {
  return {
    repositoryIndex: method(
      wire.RepositoryIndexRequestSchema,
      wire.RepositoryIndexResponseSchema,
      (request, project) => {
        const models = catalog.status(project).filter(({ state }) => !request.ready || state === 'READY')
        return fromDocument(wire.RepositoryIndexResponseSchema, { models: models.map(indexEntry) })
      },
    ),
  }
}

function deployingMethods(catalog: Catalog): Record<string, Answer> {
  return {
    repositoryModelLoad: async (bytes, project) => {
      const request = decode(wire.RepositoryModelLoadRequestSchema, bytes)
      refuseOverrides(request.parameters)
      await catalog.load(project, request.modelName)
      return encode(wire.RepositoryModelLoadResponseSchema, {})
    },
    repositoryModelUnload: async (bytes, project) => {
      await catalog.unload(project, decode(wire.RepositoryModelUnloadRequestSchema, bytes).modelName)
      return encode(wire.RepositoryModelUnloadResponseSchema, {})
    },
  }
}

function inferMethod({ catalog, limits }: GrpcDeps): Answer {
  const all = { ...defaultLimits, ...limits }
  return async (bytes, project, context) => {
    const request = decode(wire.ModelInferRequestSchema, bytes)
    const named = { name: request.modelName, version: request.modelVersion }
    const model = findModel(catalog, project, named, context.routing)
    return inferMessage(model, request, { ...context, limits: all }, (response) =>
      encode(wire.ModelInferResponseSchema, response),
    )
  }
}

/** A stream goes on after a message that failed: its error is an answer like any other. */
function streamMethod({ catalog, limits }: GrpcDeps): Answer {
  const all = { ...defaultLimits, ...limits }
  const isFinal = create(wire.InferParameterSchema, { parameterChoice: { case: 'boolParam', value: true } })
  const parameters = { triton_final_response: isFinal }
  return async (bytes, project, context) => {
    const request = decode(wire.ModelInferRequestSchema, bytes)
    const { id, modelName, modelVersion } = request
    try {
      const model = findModel(catalog, project, { name: modelName, version: modelVersion }, context.routing)
      return await inferMessage(model, request, { ...context, limits: all }, (response) =>
        encode(wire.ModelStreamInferResponseSchema, { inferResponse: { ...response, parameters } }),
      )
    } catch (error) {
      if (!(error instanceof HastenError) || error.status === 500) throw error
      const inferResponse = { id, modelName, modelVersion, parameters }
      return encode(wire.ModelStreamInferResponseSchema, { errorMessage: error.message, inferResponse })
    }
  }
}

function method<I extends DescMessage, O extends DescMessage>(
  input: I,
  output: O,
  answer: (request: MessageShape<I>, project: string) => MessageInitShape<O>,
): Answer {
  return (bytes, project) => encode(output, answer(decode(input, bytes), project))
}

function decode<D extends DescMessage>(schema: D, bytes: Uint8Array): MessageShape<D> {
  try {
    return fromBinary(schema, bytes)
  } catch (cause) {
    throw new HastenError('invalid_request', `the message is not a ${schema.name}: ${messageOf(cause)}`, { cause })
  }
}

function encode<D extends DescMessage>(schema: D, init: MessageInitShape<D>): Uint8Array {
  return toBinary(schema, create(schema, init))
}

/** A message of a JSON document of the HTTP form, whose names and types are the same. */
function fromDocument<D extends DescMessage>(schema: D, document: object): MessageShape<D> {
  return fromJson(schema, JSON.parse(JSON.stringify(document)) as JsonValue, { ignoreUnknownFields: true })
}

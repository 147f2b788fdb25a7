import {
  Server,
  ServerCredentials,
  type handleBidiStreamingCall,
  type handleUnaryCall,
  type MethodDefinition,
  type ServerDuplexStream,
} from '@grpc/grpc-js'
import { HastenError, messageOf } from '../../errors.ts'
import { defaultLimits } from '../limits.ts'
import { contextOf, endTrace, failureOf, projectOf, type GrpcDeps } from './call.ts'
import { GRPCInferenceService } from './generated/inference_pb.js'
import { createMethods, type Answer } from './methods.ts'
import { answerStream } from './stream.ts'

export interface RunningGrpc {
  readonly port: number
  /** Refuses new calls, lets those that run end, and cuts off what has not after the time given. */
  close(options: { timeoutMs: number }): Promise<void>
}

/** The gRPC form of the data plane, behind the same catalog, keys and lanes as `/v2`. */
export async function startGrpc(deps: GrpcDeps, { host, port }: { host: string; port: number }): Promise<RunningGrpc> {
  const server = new Server({
    'grpc.max_receive_message_length': deps.limits?.maxBodyBytes ?? defaultLimits.maxBodyBytes,
    'grpc.max_send_message_length': -1,
  })
  addMethods(server, deps)
  const address = `${host.includes(':') ? `[${host}]` : host}:${port}`
  return { port: await bind(server, address), close: async ({ timeoutMs }) => close(server, timeoutMs) }
}

function addMethods(server: Server, deps: GrpcDeps): void {
  const { open, keyed, deploying, stream } = createMethods(deps)
  const handlers: Record<string, handleUnaryCall<Buffer, Buffer> | handleBidiStreamingCall<Buffer, Buffer>> = {
    modelStreamInfer: (call: ServerDuplexStream<Buffer, Buffer>) => void answerStream(call, stream, deps),
  }
  for (const [name, answer] of Object.entries(open)) handlers[name] = unary(answer, async () => '', deps)
  for (const [name, answer] of Object.entries(keyed)) {
    handlers[name] = unary(answer, async (call) => projectOf(call, deps.authorize), deps)
  }
  for (const [name, answer] of Object.entries(deploying)) {
    const project = async (call: Parameters<typeof projectOf>[0]) => {
      await projectOf(call, deps.authorize)
      return projectOf(call, deps.authorize, 'deployments:write')
    }
    handlers[name] = unary(answer, project, deps)
  }
  const definitions = GRPCInferenceService.methods.map(({ name, localName, methodKind }) => [
    localName,
    definitionOf(`/${GRPCInferenceService.typeName}/${name}`, methodKind === 'bidi_streaming'),
  ])
  server.addService(Object.fromEntries(definitions), handlers)
}

/** Messages stay bytes here: they are decoded once the key is known, and their errors are ours to tell. */
function definitionOf(path: string, isStream: boolean): MethodDefinition<Buffer, Buffer> {
  const same = (bytes: Buffer) => bytes
  return {
    path,
    requestStream: isStream,
    responseStream: isStream,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  }
}

function unary(
  answer: Answer,
  project: (call: Parameters<handleUnaryCall<Buffer, Buffer>>[0]) => Promise<string>,
  deps: GrpcDeps,
): handleUnaryCall<Buffer, Buffer> {
  const respond = async (...[call, callback]: Parameters<handleUnaryCall<Buffer, Buffer>>) => {
    const context = contextOf(call, deps)
    try {
      const { buffer, byteOffset, byteLength } = await answer(call.request, await project(call), context)
      callback(null, Buffer.from(buffer, byteOffset, byteLength))
      endTrace(context.trace)
    } catch (error) {
      callback(failureOf(error, context.requestId, deps.logger))
      endTrace(context.trace, error)
    }
  }
  return (call, callback) => void respond(call, callback)
}

function bind(server: Server, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(port)
      else reject(new HastenError('config_invalid', `gRPC cannot listen on ${address}: ${messageOf(error)}`))
    })
  })
}

function close(server: Server, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.forceShutdown(), timeoutMs)
    server.tryShutdown(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}

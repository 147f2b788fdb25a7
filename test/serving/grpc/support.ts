import { Client, credentials, Metadata, type CallOptions, type StatusObject } from '@grpc/grpc-js'
import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf'
import { GRPCInferenceService } from '../../../src/serving/grpc/generated/inference_pb.js'

type Methods = (typeof GRPCInferenceService)['method']
type Name = keyof Methods
type Request<N extends Name> = MessageInitShape<Methods[N]['input']>
type Response<N extends Name> = MessageShape<Methods[N]['output']>

const same = (bytes: Buffer) => bytes
const pathOf = (name: Name) => `/inference.GRPCInferenceService/${GRPCInferenceService.method[name].name}`

export function encode<D extends DescMessage>(schema: D, init: MessageInitShape<D>): Buffer {
  return Buffer.from(toBinary(schema, create(schema, init)))
}

export function metadataOf(entries: Record<string, string> = {}): Metadata {
  const metadata = new Metadata()
  for (const [name, value] of Object.entries(entries)) metadata.set(name, value)
  return metadata
}

/** A client that sends and gets bytes; what they mean is up to the test. */
export function createClient(port: number) {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
  })
  const send = (path: string, bytes: Buffer, metadata = metadataOf(), options: CallOptions = {}) =>
    new Promise<Buffer>((resolve, reject) => {
      client.makeUnaryRequest(path, same, same, bytes, metadata, options, (error, response) =>
        error === null ? resolve(response as Buffer) : reject(error),
      )
    })
  return {
    client,
    send,
    async call<N extends Name>(
      name: N,
      request: Request<N>,
      metadata?: Metadata,
      options?: CallOptions,
    ): Promise<Response<N>> {
      const { input, output } = GRPCInferenceService.method[name]
      const bytes = await send(pathOf(name), encode(input, request as never), metadata, options)
      return fromBinary(output, bytes) as Response<N>
    },
    stream: (metadata = metadataOf()) => client.makeBidiStreamRequest(pathOf('modelStreamInfer'), same, same, metadata),
  }
}

/** How a call failed; a test fails when it did not. */
export async function statusOf(call: Promise<unknown>): Promise<Pick<StatusObject, 'code' | 'details' | 'metadata'>> {
  try {
    await call
  } catch (error) {
    return error as StatusObject
  }
  throw new Error('the call did not fail')
}

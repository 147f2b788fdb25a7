import { Readable } from 'node:stream'
import { createGzip } from 'node:zlib'
import { allGraphs, type Model } from '../../ir/model.ts'
import { encodeChunks, maxMessageBytes, weightBytes } from '../../onnx/encode.ts'

/**
 * Bytes of a model's file compressed by gzip, as it would be sent or stored; of a model that is no single file, its
 * initializers. What is compressed is counted, not held.
 */
export async function compressedBytes(model: Model): Promise<number> {
  const isFile = weightBytes(model) < maxMessageBytes / 2
  const gzip = Readable.from(isFile ? encodeChunks(model, undefined) : initializerBytes(model)).pipe(createGzip())
  let bytes = 0
  for await (const chunk of gzip) bytes += (chunk as Buffer).byteLength
  return bytes
}

function* initializerBytes(model: Model): Generator<Uint8Array> {
  for (const graph of allGraphs(model))
    for (const { initializer } of graph.initializers)
      if (initializer !== undefined && initializer.dtype !== 'string') yield initializer.bytes
}

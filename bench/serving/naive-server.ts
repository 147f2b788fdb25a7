// What a good engineer writes in an hour: Fastify, onnxruntime-node, a binary body in and out. It is the other side
// of the comparison in prediction.ts, which starts it with the model's path and reads the port it prints.
import { fastify } from 'fastify'
import { InferenceSession, Tensor } from 'onnxruntime-node'

const [modelPath = '', shape = ''] = process.argv.slice(2)
const session = await InferenceSession.create(modelPath)
const dims = shape.split(',').map(Number)
const [input = '', output = ''] = [session.inputNames[0], session.outputNames[0]]

const app = fastify({ bodyLimit: 64 * 1024 * 1024 })
app.addContentTypeParser('application/octet-stream', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
app.post<{ Body: Buffer }>('/predict', async (request, reply) => {
  const { buffer, byteOffset, byteLength } = request.body
  // A pooled buffer may start anywhere; a Float32Array may not.
  const bytes = byteOffset % 4 === 0 ? request.body : Buffer.from(request.body)
  const data =
    bytes === request.body
      ? new Float32Array(buffer, byteOffset, byteLength / 4)
      : new Float32Array(bytes.buffer, bytes.byteOffset, byteLength / 4)
  const outputs = await session.run({ [input]: new Tensor('float32', data, dims) })
  const result = outputs[output]?.data as Float32Array
  return reply.type('application/octet-stream').send(Buffer.from(result.buffer, result.byteOffset, result.byteLength))
})
app.get('/livez', async () => ({ status: 'ok' }))
await app.listen({ host: '127.0.0.1', port: 0 })
process.send?.({ url: app.listeningOrigin })

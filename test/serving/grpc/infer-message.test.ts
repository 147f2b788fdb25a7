import { expect, test } from 'vitest'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import { encodeMessage } from '../../../src/serving/grpc/infer-message.ts'

const outputs = [{ name: 'y', binary: true }]
const results = { y: tensorOf('float32', [1, 2], Float32Array.of(1, 2)) }

test('an answer of several versions says whose it is', () => {
  const call = { id: '7', outputs }
  const by = '1;rows=0, 2;rows=1'
  expect(encodeMessage(call, { name: 'm', version: '2', by }, results)).toMatchObject({
    modelName: 'm',
    modelVersion: '2',
    id: '7',
    parameters: { hasten_answered_by: { parameterChoice: { case: 'stringParam', value: by } } },
    outputs: [{ name: 'y', datatype: 'FP32', shape: [1n, 2n] }],
  })
})

test('an answer of one version has no parameters, as in Triton', () => {
  const message = encodeMessage({ id: undefined, outputs }, { name: 'm', version: '1', by: undefined }, results)
  expect(message).toMatchObject({ modelVersion: '1', id: '', parameters: {} })
})

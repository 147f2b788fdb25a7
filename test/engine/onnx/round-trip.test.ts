import { readFileSync } from 'node:fs'

import { createRegistry, equals, fromBinary } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'

import { getTensor } from '../../../src/engine/ir/attribute.ts'
import { allNodes } from '../../../src/engine/ir/model.ts'
import { decodeModel } from '../../../src/engine/onnx/decode.ts'
import { encodeModel } from '../../../src/engine/onnx/encode.ts'
import { ModelProtoSchema } from '../../../src/engine/onnx/generated/onnx_pb.js'
import { ocrModels } from '../../support/models.ts'

describe.each(Object.entries(ocrModels))('PP-OCR %s', (_name, file) => {
  const bytes = readFileSync(file)

  it('comes back as it was', () => {
    const before = fromBinary(ModelProtoSchema, bytes)
    const after = fromBinary(ModelProtoSchema, encodeModel(decodeModel(bytes)))
    expect(equals(ModelProtoSchema, before, after, { unknown: true, registry: createRegistry() })).toBe(true)
  })

  it('keeps its weights as views of the file', () => {
    const tensors = [...allNodes(decodeModel(bytes))]
      .map((node) => getTensor(node, 'value'))
      .filter((tensor) => tensor !== undefined)
    const large = tensors.filter((tensor) => tensor.dtype !== 'string' && tensor.bytes.byteLength > 1000)
    expect(large.length).toBeGreaterThan(10)
    for (const tensor of large) expect('bytes' in tensor && tensor.bytes.buffer).toBe(bytes.buffer)
  })
})

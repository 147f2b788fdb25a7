import { create } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'

import { dtypeTable, type DType } from '../../../src/engine/ir/dtype.ts'
import { isViewable, stringTensor, tensorOf, viewOf } from '../../../src/engine/ir/tensor.ts'
import {
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
  TensorProtoSchema,
  type TensorProto,
} from '../../../src/engine/onnx/generated/onnx_pb.js'
import { decodeTensor, encodeTensor } from '../../../src/engine/onnx/tensor-codec.ts'

const noExternal = () => {
  throw new Error('not external')
}

type Fields = Partial<
  Pick<TensorProto, 'floatData' | 'int32Data' | 'int64Data' | 'doubleData' | 'uint64Data' | 'rawData'>
>

function proto(dtype: DType, dims: readonly number[], fields: Fields) {
  return create(TensorProtoSchema, { name: 't', dataType: dtypeTable[dtype].onnx, dims: dims.map(BigInt), ...fields })
}

const decode = (message: TensorProto) => decodeTensor(message, noExternal).tensor

// Where the specification puts each dtype when raw_data is absent, and what the elements then are.
const typedFields: [DType, Fields, unknown[]][] = [
  ['float32', { floatData: [1.5, -2] }, [1.5, -2]],
  ['float64', { doubleData: [0.1, 2] }, [0.1, 2]],
  ['int64', { int64Data: [-1n, 2n ** 62n] }, [-1n, 2n ** 62n]],
  ['uint64', { uint64Data: [2n ** 64n - 1n, 0n] }, [2n ** 64n - 1n, 0n]],
  ['uint32', { uint64Data: [4_294_967_295n, 1n] }, [4_294_967_295, 1]],
  ['int32', { int32Data: [-5, 6] }, [-5, 6]],
  ['int16', { int32Data: [-5, 6] }, [-5, 6]],
  ['uint16', { int32Data: [65_535, 6] }, [65_535, 6]],
  ['int8', { int32Data: [-128, 127] }, [-128, 127]],
  ['uint8', { int32Data: [255, 0] }, [255, 0]],
  ['bool', { int32Data: [1, 0] }, [1, 0]],
  ['float16', { int32Data: [0x3c00, 0xc000] }, [0x3c00, 0xc000]],
  ['bfloat16', { int32Data: [0x3f80, 0xffff] }, [0x3f80, 0xffff]],
]

describe('typed data', () => {
  it.each(typedFields)('of %s becomes raw bytes', (dtype, fields, elements) => {
    const tensor = decode(proto(dtype, [2], fields))
    expect([...(viewOf(tensor) as Iterable<unknown>)]).toEqual(elements)
    const again = decode(encodeTensor(tensor, 't', undefined))
    expect([...(viewOf(again) as Iterable<unknown>)]).toEqual(elements)
  })

  it('covers every dtype that has a typed array', () => {
    const viewable = Object.keys(dtypeTable).filter((dtype) => isViewable(dtype as DType))
    expect(typedFields.map(([dtype]) => dtype).sort()).toEqual(viewable.sort())
  })

  it.each<[DType, number[], Fields, number[]]>([
    ['int4', [3], { int32Data: [0x21, 0x0f] }, [0x21, 0x0f]],
    ['uint2', [5], { int32Data: [0xe4, 0x03] }, [0xe4, 0x03]],
    ['float8e4m3fn', [2], { int32Data: [0x38, 0xb8] }, [0x38, 0xb8]],
    ['complex64', [1], { floatData: [1, 0] }, [0, 0, 128, 63, 0, 0, 0, 0]],
  ])('of %s keeps its packing', (dtype, dims, fields, bytes) => {
    expect(decode(proto(dtype, dims, fields))).toEqual({ dtype, dims, bytes: Uint8Array.from(bytes) })
  })

  it('of strings are bytes', () => {
    const tensor = stringTensor([2], ['ä', ''])
    expect(decode(encodeTensor(tensor, 't', undefined))).toEqual(tensor)
  })
})

describe('raw data', () => {
  it('stays where it is', () => {
    const rawData = new Uint8Array(8)
    const tensor = decode(proto('float32', [2], { rawData }))
    expect('bytes' in tensor && tensor.bytes).toBe(rawData)
  })

  it('of no elements is empty', () => {
    expect(decode(proto('int64', [0, 4], {}))).toMatchObject({ dims: [0, 4], bytes: new Uint8Array(0) })
  })
})

describe('what does not fit', () => {
  it.each<[string, TensorProto, string]>([
    ['too few bytes', proto('float32', [3], { rawData: new Uint8Array(8) }), 'needs 12 bytes and holds 8'],
    ['too many elements', proto('float32', [1], { floatData: [1, 2] }), 'needs 4 bytes and holds 8'],
    ['no data', proto('float32', [65_536, 1_048_576], {}), 'needs 274877906944 bytes and holds 0'],
    ['dims past counting', proto('float32', [2 ** 40, 2 ** 40], {}), 'needs 4835703278458516698824704 bytes'],
    ['a negative dim', proto('float32', [-1], {}), 'has a negative dim in [-1]'],
    [
      'more dims than there can be',
      proto(
        'int8',
        Array.from({ length: 65 }, () => 2),
        {},
      ),
      'has 65 dims, over 64',
    ],
    ['strings', create(TensorProtoSchema, { name: 't', dataType: 8, dims: [2n] }), 'needs 2 strings'],
    ['no dtype', create(TensorProtoSchema, { name: 't' }), 'has element type 0, which is not known'],
    ['a dtype from the future', create(TensorProtoSchema, { name: 't', dataType: 99 }), 'has element type 99'],
    [
      'external strings',
      create(TensorProtoSchema, { name: 't', dataType: 8, dataLocation: TensorProto_DataLocation.EXTERNAL }),
      "tensor 't'",
    ],
  ])('is refused: %s', (_what, message, detail) => {
    expect(() => decode(message)).toThrow(
      expect.objectContaining({ code: 'model_invalid', message: expect.stringContaining(detail) }),
    )
  })
})

describe('encodeTensor', () => {
  it('keeps what was carried, under the name of the value', () => {
    const message = proto('float32', [1], { floatData: [1] })
    message.docString = 'kept'
    message.metadataProps = [create(StringStringEntryProtoSchema, { key: 'k', value: 'v' })]
    const { tensor, rest } = decodeTensor(message, noExternal)
    const encoded = encodeTensor(tensor, 'renamed', rest)
    expect(encoded).toMatchObject({ name: 'renamed', docString: 'kept', floatData: [] })
    expect(encoded.metadataProps[0]).toMatchObject({ key: 'k', value: 'v' })
    expect(message.name).toBe('t')
  })

  it('writes raw data', () => {
    const tensor = tensorOf('float32', [1], Float32Array.of(1))
    expect(encodeTensor(tensor, 't', undefined).rawData).toEqual(tensor.bytes)
  })
})

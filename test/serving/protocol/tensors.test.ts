import { describe, expect, test } from 'vitest'
import { datatypeTable, type Datatype } from '../../../src/serving/datatypes.ts'
import { viewOf, type NumericTensor, type Tensor } from '../../../src/engine/serving.ts'
import { defaultLimits } from '../../../src/serving/limits.ts'
import { decodeByteStrings, encodeByteStrings } from '../../../src/serving/protocol/byte-strings.ts'
import { decodeInferRequest } from '../../../src/serving/protocol/infer-request.ts'
import { encodeInferResponse } from '../../../src/serving/protocol/infer-response.ts'
import { hasJsonForm, writeJsonTensor } from '../../../src/serving/protocol/json-tensor.ts'
import { bytesOf, decode, errorOf, signatureOf } from './support.ts'

const datatypes = Object.keys(datatypeTable) as Datatype[]
const input = (datatype: Datatype, data: unknown[]) => ({ name: 'x', shape: [data.length], datatype, data })
const vector = (datatype: Datatype) => signatureOf(datatypeTable[datatype].dtype, ['N'])

/** JSON data of each datatype at its limits, and just past them. */
const jsonCases: Record<Exclude<Datatype, 'FP16' | 'BF16' | 'BYTES'>, { good: unknown[]; bad: unknown[] }> = {
  BOOL: { good: [true, false], bad: [1, 'true', null] },
  UINT8: { good: [0, 255], bad: [-1, 256, 0.5, '1', true] },
  UINT16: { good: [0, 65_535], bad: [-1, 65_536] },
  UINT32: { good: [0, 4_294_967_295], bad: [-1, 4_294_967_296] },
  UINT64: { good: [0, Number.MAX_SAFE_INTEGER], bad: [-1, 2 ** 53] },
  INT8: { good: [-128, 127], bad: [-129, 128] },
  INT16: { good: [-32_768, 32_767], bad: [-32_769, 32_768] },
  INT32: { good: [-2_147_483_648, 2_147_483_647], bad: [-2_147_483_649, 2_147_483_648] },
  INT64: { good: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER], bad: [2 ** 53, -(2 ** 53)] },
  FP32: { good: [0.1, -3.4e38], bad: [1e39, '1', null] },
  FP64: { good: [0.1, 1e308], bad: [null, []] },
}

const textOf = (tensor: Tensor) => Buffer.from(writeJsonTensor('y', tensor)).toString()

describe('JSON tensors', () => {
  test.each(Object.entries(jsonCases))('%s round trip and limits', (name, { good, bad }) => {
    const datatype = name as Datatype
    const tensor = decode(vector(datatype), { inputs: [input(datatype, good)] }).feeds.x!
    const back = JSON.parse(textOf(tensor)) as unknown[]
    // Of a float32, as many digits as it needs.
    const rounded = (values: readonly unknown[]) => values.map((value) => Math.fround(value as number))
    expect(datatype === 'FP32' ? rounded(back) : back).toEqual(datatype === 'FP32' ? rounded(good) : good)
    for (const element of bad) {
      const error = errorOf(() => decode(vector(datatype), { inputs: [input(datatype, [good[0], element])] }))
      expect(error).toMatch(new RegExp(`^input_data: element 1 of ${name} data is .*, not (an? |true)`))
    }
  })

  test('BYTES are UTF-8 text', () => {
    const { feeds } = decode(vector('BYTES'), { inputs: [input('BYTES', ['héllo\0', ''])] })
    expect(textOf(feeds.x!)).toBe(JSON.stringify(['héllo\0', '']))
    expect(errorOf(() => decode(vector('BYTES'), { inputs: [input('BYTES', [5])] }))).toContain('not a string')
  })

  test('64-bit integers keep all their digits on the way out', () => {
    const view = BigInt64Array.of(-(2n ** 63n), 2n ** 53n + 1n)
    const tensor: Tensor = { dtype: 'int64', dims: [2], bytes: new Uint8Array(view.buffer) }
    expect(textOf(tensor)).toBe('[-9223372036854775808,9007199254740993]')
  })

  test('NaN, infinities and bytes that are no text have no JSON form', () => {
    for (const value of [Number.NaN, -Infinity]) {
      const tensor: Tensor = { dtype: 'float32', dims: [1], bytes: new Uint8Array(Float32Array.of(value).buffer) }
      expect(errorOf(() => writeJsonTensor('y', tensor))).toBe("output_not_json: output 'y' holds NaN or an infinity")
    }
    const bytes: Tensor = { dtype: 'string', dims: [1], strings: [Uint8Array.of(0xff)] }
    expect(errorOf(() => writeJsonTensor('y', bytes))).toBe(
      "output_not_json: output 'y' holds bytes that are not UTF-8",
    )
  })

  test.each(['FP16', 'BF16'] as const)('%s goes in and out as binary only', (datatype) => {
    expect(hasJsonForm(datatype)).toBe(false)
    const json = input(datatype, [1])
    expect(errorOf(() => decode(vector(datatype), { inputs: [json] }))).toMatch(
      /^input_data: .* cannot be sent as JSON/,
    )
    const binary = { name: 'x', shape: [1], datatype, parameters: { binary_data_size: 2 } }
    expect(errorOf(() => decode(vector(datatype), { inputs: [binary] }, Uint8Array.of(1, 2)))).toMatch(
      /^output_not_json/,
    )
    const call = decode(
      vector(datatype),
      { inputs: [binary], parameters: { binary_data_output: true } },
      Uint8Array.of(1, 2),
    )
    expect(bytesOf(call.feeds.x)).toEqual([1, 2])
  })
})

describe('binary tensors', () => {
  test.each(datatypes.filter((datatype) => datatype !== 'BYTES'))('%s comes out byte for byte', (datatype) => {
    const bytes = Uint8Array.from({ length: 16 }, (_, index) => index * 16 + 1)
    const tensor = { dtype: datatypeTable[datatype].dtype, dims: [1], bytes } as NumericTensor
    const { chunks, headerLength, length } = encodeInferResponse(
      { id: 'a"b', outputs: [{ name: 'y', binary: true }] },
      { name: 'm', version: '3' },
      { y: tensor },
      defaultLimits,
    )
    const all = Buffer.concat(chunks)
    expect(all.length).toBe(length)
    expect(JSON.parse(all.subarray(0, headerLength).toString())).toEqual({
      id: 'a"b',
      model_name: 'm',
      model_version: '3',
      outputs: [{ name: 'y', datatype, shape: [1], parameters: { binary_data_size: 16 } }],
    })
    expect([...all.subarray(headerLength)]).toEqual([...bytes])
    expect(chunks[1]).toBe(bytes)
  })

  test('BYTES keep any byte, also NUL and what is not UTF-8', () => {
    const strings = [Buffer.from('a\0b'), Buffer.alloc(0), Buffer.of(0xff, 0xfe)]
    const data = encodeByteStrings(strings)
    expect(Buffer.from(data).toString('hex')).toBe('030000006100620000000002000000fffe')
    expect(decodeByteStrings(data, 3, 'x').map((text) => Buffer.from(text))).toEqual(strings)
  })

  test.each([
    ['runs past the end', Buffer.from('05000000aabb', 'hex'), 'has an element of 5 bytes that runs past its end'],
    ['a length of 4 GiB', Buffer.from('ffffffff', 'hex'), 'has an element of 4294967295 bytes that runs past its end'],
    ['half a length', Buffer.from('0100', 'hex'), 'ends inside the length of an element'],
    ['too many', encodeByteStrings([Buffer.of(1), Buffer.of(2)]), 'has more than the 1 elements of its shape'],
    ['too few', new Uint8Array(0), 'has 0 elements; its shape asks for 1'],
  ])('BYTES: %s', (_name, data, expected) => {
    expect(errorOf(() => decodeByteStrings(data, 1, 'x'))).toBe(`input_data: BYTES input 'x' ${expected}`)
  })
})

describe('a raw body', () => {
  const raw = (dims: (number | string | null)[], bytes: number) => {
    const call = decodeInferRequest(new Uint8Array(bytes), 0, signatureOf('float32', dims), defaultLimits)
    return { dims: call.feeds.x!.dims, outputs: call.outputs }
  }

  test('determines one dynamic dim, and counts a dynamic first one as a batch of 1 beside it', () => {
    expect(raw(['N', 3], 24)).toEqual({ dims: [2, 3], outputs: [{ name: 'y', binary: true }] })
    expect(raw([1, 3], 12).dims).toEqual([1, 3])
    expect(raw(['N', null], 20).dims).toEqual([1, 5])
  })

  test('that does not fit is refused', () => {
    expect(errorOf(() => raw(['N', 3], 25))).toBe("input_data: unexpected size for input 'x': a raw body of 25 bytes")
    expect(errorOf(() => raw([1, 3], 24))).toMatch(/^input_data/)
    expect(errorOf(() => raw([0, null], 4))).toMatch(/^input_data/)
    expect(errorOf(() => raw(['N', 'H', 'W'], 24))).toMatch(/^input_shape: input 'x' has 2 dynamic dims/)
    const two = { inputs: [...signatureOf('float32').inputs, ...signatureOf('float32').inputs], outputs: [] }
    expect(errorOf(() => decodeInferRequest(new Uint8Array(8), 0, two, defaultLimits))).toMatch(/^input_missing/)
  })

  test('of a BYTES model is one element', () => {
    const body = Buffer.from('any bytes\0')
    const { feeds } = decodeInferRequest(body, 0, signatureOf('string', ['N']), defaultLimits)
    expect(feeds.x).toEqual({ dtype: 'string', dims: [1], strings: [body] })
  })
})

test('a JSON output over the limit is refused with a hint at binary', () => {
  const tensor: Tensor = { dtype: 'float32', dims: [4], bytes: new Uint8Array(16) }
  const encode = (binary: boolean) => () =>
    encodeInferResponse(
      { id: undefined, outputs: [{ name: 'y', binary }] },
      { name: 'm', version: '1' },
      { y: tensor },
      {
        ...defaultLimits,
        maxJsonBytes: 15,
      },
    )
  expect(errorOf(encode(false))).toBe("tensor_too_large: output 'y' has 16 bytes; as JSON at most 15 are sent")
  expect(encode(true)().length).toBeGreaterThan(16)
  expect([...viewOf(tensor, 'float32')]).toEqual([0, 0, 0, 0])
})

import { describe, expect, test } from 'vitest'
import { defaultLimits } from '../../../src/serving/limits.ts'
import { decodeInferRequest, type Signature } from '../../../src/serving/protocol/infer-request.ts'
import { viewOf } from '../../../src/engine/serving.ts'
import { bodyOf, bytesOf, decode, errorOf, signatureOf } from './support.ts'

const pair = signatureOf('float32')
const x = (over: object = {}) => ({ name: 'x', shape: [1, 2], datatype: 'FP32', data: [1, 2], ...over })
const binaryX = (size = 8) => ({ name: 'x', shape: [1, 2], datatype: 'FP32', parameters: { binary_data_size: size } })
const floats = new Uint8Array(Float32Array.of(1.5, -2).buffer)

describe('a good request', () => {
  test('in JSON, flat or nested as its shape', () => {
    for (const data of [[1.5, -2], [[1.5, -2]]]) {
      const { feeds, outputs, id } = decode(pair, { inputs: [x({ data })] })
      expect([...viewOf(feeds.x!, 'float32')]).toEqual([1.5, -2])
      expect(outputs).toEqual([{ name: 'y', binary: false }])
      expect(id).toBeUndefined()
    }
  })

  test('in binary: the tensor is a view of the body', () => {
    // Padded as the body reader pads, so that the tail is aligned.
    const { body, jsonLength } = bodyOf(
      { id: '', inputs: [binaryX()], parameters: { binary_data_output: true } },
      floats,
    )
    const padded = Buffer.alloc(body.length + 16).subarray(16 - (jsonLength % 16))
    body.forEach((byte, index) => (padded[index] = byte))
    const call = decodeInferRequest(padded.subarray(0, body.length), jsonLength, pair, defaultLimits)
    const tensor = call.feeds.x!
    expect(bytesOf(tensor)).toEqual([...floats])
    expect(tensor.dtype !== 'string' && tensor.bytes.buffer).toBe(padded.buffer)
    expect(call).toMatchObject({ id: '', outputs: [{ name: 'y', binary: true }] })
  })

  test.each([0, 1, 2, 3])('%i bytes past a tail that is aligned is read by whole elements', (spaces) => {
    const tensor = decode(pair, `{"inputs":[${JSON.stringify(binaryX())}]${' '.repeat(spaces)}}`, floats).feeds.x!
    expect(tensor.dtype !== 'string' && tensor.bytes.byteOffset % 4).toBe(0)
    expect(bytesOf(tensor)).toEqual([...floats])
  })

  test('mixes JSON and binary inputs; blobs follow the order of the entries', () => {
    const signature: Signature = {
      inputs: ['a', 'b', 'c'].map((name) => ({ name, dtype: 'uint8', dims: [2] })),
      outputs: [{ name: 'y', dtype: 'uint8', dims: [2] }],
    }
    const blob = (name: string) => ({ name, shape: [2], datatype: 'UINT8', parameters: { binary_data_size: 2 } })
    const json = { name: 'b', shape: [2], datatype: 'UINT8', data: [3, 4] }
    const { feeds } = decode(signature, { inputs: [blob('c'), json, blob('a')] }, Uint8Array.of(5, 6, 1, 2))
    expect([feeds.a, feeds.b, feeds.c].map(bytesOf)).toEqual([
      [1, 2],
      [3, 4],
      [5, 6],
    ])
  })

  test('chooses outputs and their form; one that says nothing follows binary_data_output', () => {
    const signature: Signature = { ...pair, outputs: [...pair.outputs, { name: 'z', dtype: 'int64', dims: [] }] }
    const outputs = [{ name: 'z' }, { name: 'y', parameters: { binary_data: false } }]
    const call = decode(signature, { inputs: [x()], outputs, parameters: { binary_data_output: true } })
    expect(call.outputs).toEqual([
      { name: 'z', binary: true },
      { name: 'y', binary: false },
    ])
  })

  test('takes the timeout in microseconds and lets sequence, priority and custom parameters pass', () => {
    const parameters = { timeout: 2500, priority: 3, sequence_id: 'abc', sequence_start: true, mine: 1.5 }
    expect(decode(pair, { inputs: [x()], parameters }).timeoutMs).toBe(2.5)
    expect(decode(pair, { inputs: [x()], parameters: { timeout: 0 } }).timeoutMs).toBeUndefined()
  })
})

describe('a hostile or wrong request', () => {
  const inputErrors: [string, object, string][] = [
    ['unknown input', x({ name: 'q' }), "input_unknown: the model has no input 'q'; it has 'x'"],
    ['__proto__ as a name', x({ name: '__proto__' }), "input_unknown: the model has no input '__proto__'; it has 'x'"],
    ['a name that is no string', x({ name: 3 }), 'invalid_request: the name of an input must be a string'],
    ['wrong datatype', x({ datatype: 'INT8' }), `input_dtype: input 'x' has datatype "INT8"; the model takes FP32`],
    [
      'constructor as datatype',
      x({ datatype: 'constructor' }),
      `input_dtype: input 'x' has datatype "constructor"; the model takes FP32`,
    ],
    ['no shape', x({ shape: undefined }), "input_shape: the shape of input 'x' must be an array of integers from 0"],
    [
      'negative shape',
      x({ shape: [-1, 2] }),
      "input_shape: the shape of input 'x' must be an array of integers from 0",
    ],
    [
      'fractional shape',
      x({ shape: [0.5, 2] }),
      "input_shape: the shape of input 'x' must be an array of integers from 0",
    ],
    ['wrong fixed dim', x({ shape: [1, 3] }), "input_shape: input 'x' has shape [1, 3]; the model takes [-1, 2]"],
    ['wrong rank', x({ shape: [2] }), "input_shape: input 'x' has shape [2]; the model takes [-1, 2]"],
    [
      'a shape that overflows',
      x({ shape: [2 ** 52, 2] }),
      "input_shape: the shape of input 'x' asks for more than the limit of 67108864 bytes",
    ],
    ['too few elements', x({ data: [1] }), 'input_data: data has 1 elements; the shape asks for 2'],
    [
      'ragged data',
      x({ shape: [2, 2], data: [[1, 2, 3], [4]] }),
      'input_data: dimension 1 of nested data has 3 elements; the shape says 2',
    ],
    [
      'half nested data',
      x({ shape: [2, 2], data: [[1, 2], 3] }),
      'input_data: dimension 1 of nested data must be an array',
    ],
    ['data that is no array', x({ data: 'AAAA' }), 'input_data: data must be an array'],
    ['neither data nor binary', x({ data: undefined }), "input_data: input 'x' has neither data nor binary_data_size"],
    ['both data and binary', { ...x(), ...binaryX() }, "invalid_request: input 'x' has both data and binary_data_size"],
    ['a negative size', binaryX(-8), 'invalid_request: binary_data_size must be an integer from 0'],
    ['a size over the tail', binaryX(8), "input_data: unexpected size for input 'x': 8 bytes announced, 0 received"],
    [
      'a size against the shape',
      binaryX(0),
      "input_data: unexpected size for input 'x': 0 bytes; its shape asks for 8",
    ],
    [
      'shared memory',
      x({ parameters: { shared_memory_region: 'r' } }),
      "not_implemented: 'shared_memory_region' is not offered",
    ],
    [
      'parameters that nest',
      x({ parameters: { a: {} } }),
      "invalid_request: parameter 'a' must be a string, a number or a boolean",
    ],
  ]
  test.each(inputErrors)('%s', (_name, input, expected) => {
    // JSON.stringify leaves undefined members out.
    expect(errorOf(() => decode(pair, { inputs: [input] }))).toBe(expected)
  })

  const headerErrors: [string, unknown, string][] = [
    ['no inputs', {}, 'invalid_request: inputs must be an array'],
    ['an input missing', { inputs: [] }, "input_missing: input 'x' is missing"],
    ['an input that is no object', { inputs: [7] }, 'invalid_request: an input must be an object'],
    ['an input given twice', { inputs: [x(), x()] }, "invalid_request: input 'x' is given twice"],
    ['an id that is no string', { id: 5, inputs: [x()] }, 'invalid_request: id must be a string'],
    [
      'an unknown output',
      { inputs: [x()], outputs: [{ name: 'q' }] },
      "input_unknown: the model has no output 'q'; it has 'y'",
    ],
    [
      'an output asked for twice',
      { inputs: [x()], outputs: [{ name: 'y' }, { name: 'y' }] },
      'invalid_request: an output is asked for twice',
    ],
    ['outputs that are no array', { inputs: [x()], outputs: {} }, 'invalid_request: outputs must be an array'],
    [
      'a classification that is no count',
      { inputs: [x()], outputs: [{ name: 'y', parameters: { classification: 1.5 } }] },
      'invalid_request: classification must be an integer from 0',
    ],
    [
      'a reserved parameter',
      { inputs: [x()], parameters: { triton_x: 1 } },
      "invalid_request: parameter 'triton_x' is reserved",
    ],
    [
      'a negative timeout',
      { inputs: [x()], parameters: { timeout: -1 } },
      'invalid_request: timeout must be an integer number of microseconds',
    ],
    [
      'a flag that is no boolean',
      { inputs: [x()], parameters: { binary_data_output: 1 } },
      'invalid_request: must be true or false',
    ],
    ['an array', [], 'invalid_request: the JSON of the request is not an object'],
    [
      'deep nesting',
      `{"inputs":${'['.repeat(200)}${']'.repeat(200)}}`,
      'invalid_request: the JSON of the request is nested deeper than 100 levels',
    ],
  ]
  test.each(headerErrors)('%s', (_name, header, expected) => {
    expect(errorOf(() => decode(pair, header))).toBe(expected)
  })

  test('bytes after the last tensor, and a header longer than the body', () => {
    const more = Buffer.concat([floats, Buffer.of(1, 2, 3)])
    expect(errorOf(() => decode(pair, { inputs: [binaryX()] }, more))).toBe(
      'input_data: unexpected additional input data: 3 bytes more than the inputs announce',
    )
    const { body } = bodyOf({ inputs: [x()] })
    expect(errorOf(() => decodeInferRequest(body, body.length + 1, pair, defaultLimits))).toMatch(
      /^invalid_request: Inference-Header-Content-Length is \d+, more than the \d+ bytes of the body$/,
    )
  })

  test('JSON that is cut off, not UTF-8 or too large', () => {
    expect(errorOf(() => decode(pair, '{"inputs":['))).toMatch(/^invalid_request: the JSON of the request is malformed/)
    expect(errorOf(() => decodeInferRequest(Buffer.of(0x7b, 0xff, 0x7d), undefined, pair, defaultLimits))).toBe(
      'invalid_request: the JSON of the request is not UTF-8',
    )
    expect(errorOf(() => decode(pair, { inputs: [x()] }, undefined, { maxJsonBytes: 20 }))).toMatch(
      /^tensor_too_large: the JSON of the request has \d+ bytes; the limit is 20$/,
    )
  })

  test('__proto__ members change nothing', () => {
    const json = `{"__proto__":{"inputs":[]},"inputs":[${JSON.stringify(x())}],"parameters":{"__proto__":"x"}}`
    expect(bytesOf(decode(pair, json).feeds.x)).toHaveLength(8)
    expect(({} as Record<string, unknown>).inputs).toBeUndefined()
  })

  test('brackets inside strings are not nesting', () => {
    expect(decode(pair, { id: `"${'['.repeat(500)}\\`, inputs: [x()] }).id).toHaveLength(502)
  })
})

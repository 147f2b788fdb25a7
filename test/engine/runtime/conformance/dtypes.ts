import { expect, test } from 'vitest'

import type { DType } from '../../../../src/engine/ir/dtype.ts'
import { stringTensor, tensorOf, type StringTensor, type Tensor } from '../../../../src/engine/ir/tensor.ts'
import type { Subject } from '../conformance.ts'
import { identityModel } from './models.ts'

/** Six elements of each dtype, the extreme ones among them. */
const samples = {
  float32: tensorOf('float32', [2, 3], Float32Array.of(0, -0, Math.PI, 3.4e38, -Infinity, NaN)),
  float64: tensorOf('float64', [2, 3], Float64Array.of(0, -0, Math.PI, 1.7e308, -Infinity, 5e-324)),
  float16: tensorOf('float16', [2, 3], Uint16Array.of(0, 0x8000, 0x3c00, 0x7bff, 0xfc00, 0x0001)),
  bfloat16: tensorOf('bfloat16', [2, 3], Uint16Array.of(0, 0x8000, 0x3f80, 0x7f7f, 0xff80, 0x0001)),
  int8: tensorOf('int8', [2, 3], Int8Array.of(0, 1, -1, 127, -128, 42)),
  int16: tensorOf('int16', [2, 3], Int16Array.of(0, 1, -1, 32767, -32768, 42)),
  int32: tensorOf('int32', [2, 3], Int32Array.of(0, 1, -1, 2147483647, -2147483648, 42)),
  int64: tensorOf('int64', [2, 3], BigInt64Array.of(0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n)),
  uint8: tensorOf('uint8', [2, 3], Uint8Array.of(0, 1, 2, 127, 128, 255)),
  uint16: tensorOf('uint16', [2, 3], Uint16Array.of(0, 1, 2, 32767, 32768, 65535)),
  uint32: tensorOf('uint32', [2, 3], Uint32Array.of(0, 1, 2, 2147483647, 2147483648, 4294967295)),
  uint64: tensorOf('uint64', [2, 3], BigUint64Array.of(0n, 1n, 2n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 53n + 1n)),
  bool: tensorOf('bool', [2, 3], Uint8Array.of(1, 0, 0, 1, 1, 0)),
  float8e4m3fn: { dtype: 'float8e4m3fn', dims: [2, 3], bytes: Uint8Array.of(0, 0x80, 0x38, 0x7e, 0x7f, 1) },
} as const satisfies Partial<Record<DType, Tensor>>

const texts = ['', 'plain', 'naïve 名前 🚀', 'line\nbreak', '\uFEFFmarked', 'x'.repeat(100_000)]

export function checkDTypes({ runtime, can }: Subject): void {
  const numeric = Object.values(samples)

  test.each(numeric.filter(({ dtype }) => !can.refusedDTypes.includes(dtype)))(
    '$dtype passes through unchanged',
    async (tensor) => {
      const session = await runtime().createSession({ bytes: identityModel(tensor.dtype, [2, 3]) })
      expect(session.inputs).toEqual([{ name: 'x', dtype: tensor.dtype, dims: [2, 3] }])
      const { y } = await session.run({ x: tensor })
      expect(y).toEqual({ ...tensor, bytes: new Uint8Array(tensor.bytes) })
      await session.release()
    },
  )

  test.each(can.refusedDTypes)('%s is refused when the model loads', async (dtype) => {
    await expect(runtime().createSession({ bytes: identityModel(dtype, [2, 3]) })).rejects.toMatchObject({
      code: 'model_load_failed',
    })
  })

  test('text passes through unchanged', async () => {
    const x = stringTensor([2, 3], texts)
    expect(await echoStrings(x)).toEqual(x)
  })

  test.each([
    ['a NUL byte', Uint8Array.of(97, 0, 98, 0)],
    ['bytes that are not UTF-8', Uint8Array.of(0xff, 0xfe, 0x80)],
  ])('a string with %s passes through exactly, or is refused by the name of its input', async (_, bytes) => {
    const x: StringTensor = { dtype: 'string', dims: [1, 2], strings: [new Uint8Array(0), bytes] }
    if (can.anyBytes) expect(await echoStrings(x)).toEqual(x)
    else await expect(echoStrings(x)).rejects.toMatchObject({ code: 'input_data', message: /input "x".* string 1/ })
  })

  test.each(['float32', 'int64', 'bool', 'string'] as const)('%s scalars and empty tensors', async (dtype) => {
    const empty: Tensor =
      dtype === 'string' ? { dtype, dims: [0, 4], strings: [] } : { dtype, dims: [0, 4], bytes: new Uint8Array(0) }
    const session = await runtime().createSession({ bytes: identityModel(dtype, ['N', 4]) })
    expect(await session.run({ x: empty })).toEqual({ y: empty })
    await session.release()

    const scalar: Tensor =
      dtype === 'string' ? stringTensor([], ['one']) : { dtype, dims: [], bytes: new Uint8Array(sizes[dtype]).fill(1) }
    const scalars = await runtime().createSession({ bytes: identityModel(dtype, []) })
    expect(await scalars.run({ x: scalar })).toEqual({ y: scalar })
    await scalars.release()
  })

  async function echoStrings(x: StringTensor): Promise<Tensor | undefined> {
    const session = await runtime().createSession({ bytes: identityModel('string', [null, null]) })
    try {
      return (await session.run({ x })).y
    } finally {
      await session.release()
    }
  }
}

const sizes = { float32: 4, int64: 8, bool: 1 }

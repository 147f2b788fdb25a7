import { afterAll, expect, test } from 'vitest'

import type { Tensor } from '../../../../src/engine/ir/tensor.ts'
import { createOrtRuntime } from '../../../../src/engine/runtime/ort/index.ts'
import { buildModel } from '../../../support/models.ts'
import { floats, numbersOf } from '../conformance/models.ts'

const runtime = createOrtRuntime()
afterAll(() => runtime.close())

test.each([
  ['int4', [1, -2, 7]],
  ['uint4', [1, 14, 7]],
] as const)('%s tensors are packed, the low half first', async (dtype, values) => {
  const bytes = buildModel({
    opset: 21,
    irVersion: 10,
    inputs: { x: [dtype, [3]] },
    outputs: { y: ['float32', [3]] },
    initializers: { scale: floats([], 1) },
    nodes: [['DequantizeLinear', ['x', 'scale'], ['y']]],
  })
  const session = await runtime.createSession({ bytes })
  const x: Tensor = { dtype, dims: [3], bytes: Uint8Array.of(0xe1, 0x07) }
  expect(numbersOf((await session.run({ x })).y)).toEqual(values)
  await expect(session.run({ x: { ...x, bytes: new Uint8Array(3) } })).rejects.toMatchObject({
    code: 'input_data',
    message: /expected 2 bytes/,
  })
})

test('inputs are read in place, and not written', async () => {
  const bytes = buildModel({
    inputs: { x: ['float32', ['N']] },
    outputs: { y: ['float32', ['N']] },
    nodes: [
      ['Relu', ['x'], ['a']],
      ['Neg', ['a'], ['y']],
    ],
  })
  const session = await runtime.createSession({ bytes })
  const x = floats([3], -1, 2, -3)
  expect(numbersOf((await session.run({ x })).y)).toEqual([-0, -2, -0])
  expect(numbersOf(x)).toEqual([-1, 2, -3])
})

test('a hundred inputs and outputs keep their order', async () => {
  const names = Array.from({ length: 100 }, (_, index) => `value ${index}`)
  const bytes = buildModel({
    inputs: Object.fromEntries(names.map((name) => [name, ['float32', [1]]])),
    outputs: Object.fromEntries(names.map((name) => [`${name} out`, ['float32', [1]]])),
    nodes: names.map((name) => ['Neg', [name], [`${name} out`]]),
  })
  const session = await runtime.createSession({ bytes })
  const feeds = Object.fromEntries(names.map((name, index) => [name, floats([1], index)] as const).toReversed())
  const outputs = await session.run(feeds)
  expect(Object.values(outputs).map((tensor) => numbersOf(tensor)[0])).toEqual(names.map((_, index) => -index))
})

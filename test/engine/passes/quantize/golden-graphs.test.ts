import path from 'node:path'
import { expect, test } from 'vitest'
import { openDataset } from '../../../../src/engine/data/index.ts'
import type { Node, Value } from '../../../../src/engine/ir/graph.ts'
import type { Model } from '../../../../src/engine/ir/model.ts'
import { topologicalOrder } from '../../../../src/engine/ir/order.ts'
import { viewOf } from '../../../../src/engine/ir/tensor.ts'
import { loadModel } from '../../../../src/engine/onnx/index.ts'
import golden from '../../../fixtures/quantized/graphs.json' with { type: 'json' }
import { applyPass, numbers } from '../support.ts'

const folder = path.join(import.meta.dirname, '../../../fixtures/quantized')

const schemes: Record<string, Record<string, unknown>> = {
  'uint8 per channel': {},
  'uint8 per tensor': { perChannel: false },
  // Written as uint8, 128 higher.
  'int8 asymmetric': { activations: 'int8', symmetricActivations: 'never' },
}

interface Input {
  readonly value?: string
  readonly of?: string
  readonly dtype?: string
  readonly integers?: readonly number[]
  readonly scale?: readonly number[]
  readonly zeroPoint?: readonly number[]
}

function conversion({ inputs: [, scale, zero] }: Node) {
  const held = zero?.initializer
  const zeros = held === undefined ? [0] : [...new Set(Array.from(viewOf(held), Number))].toSorted((a, b) => a - b)
  return { scale: numbers(scale?.initializer), zeroPoint: zeros }
}

/** What an input is, as the script that made the fixtures describes it. */
function describeInput(value: Value): Input {
  const back = value.producer
  if (back?.opType !== 'DequantizeLinear') return { value: value.name }
  const source = back.inputs[0] as Value
  const held = source.initializer
  if (held !== undefined) {
    return { dtype: held.dtype, integers: Array.from(viewOf(held), Number), ...conversion(back) }
  }
  const quantize = source.producer as Node
  return { of: quantize.inputs[0]?.name ?? '', ...conversion(quantize) }
}

const conversions = new Set(['QuantizeLinear', 'DequantizeLinear'])

function describeGraph({ graph }: Model) {
  const nodes = topologicalOrder(graph).order.filter(({ opType }) => !conversions.has(opType))
  return nodes.map(({ opType, inputs }) => ({
    op: opType,
    inputs: inputs.flatMap((value) => (value === undefined ? [] : [describeInput(value)])),
  }))
}

test.each(golden)(
  '$model, $scheme: the graph is that of the reference tools',
  async ({ model: name, scheme, nodes }) => {
    const calibration = await openDataset(path.join(folder, `${name}.npz`))
    const original = await loadModel(path.join(folder, `${name}.onnx`))
    const { model } = await applyPass('quantize.static', original, schemes[scheme] ?? {}, { calibration })
    await calibration.close()
    const described = describeGraph(model)
    expect(described.map(({ op }) => op)).toEqual(nodes.map(({ op }) => op))
    const moved = scheme.startsWith('int8') ? 128 : 0
    for (const [at, { inputs }] of (nodes as { inputs: Input[] }[]).entries()) {
      for (const [index, expected] of inputs.entries()) {
        const actual = described[at]?.inputs[index] as Input
        const what = `${at}:${index}`
        expect(actual.value, what).toBe(expected.value)
        expect(actual.dtype, what).toBe(expected.dtype)
        for (const [channel, scale] of (expected.scale ?? []).entries()) {
          expect(Math.abs((actual.scale?.[channel] as number) / scale - 1), what).toBeLessThan(2e-6)
        }
        expect(actual.scale?.length, what).toBe(expected.scale?.length)
        if (expected.integers !== undefined) expectIntegers(actual.integers ?? [], expected, what)
        else if (expected.zeroPoint !== undefined) {
          expect(actual.zeroPoint, what).toEqual(expected.zeroPoint.map((zero) => zero + moved))
        }
      }
    }
  },
)

/** Weights are the same; a bias may differ by the last bit, since the scales of its parts do. */
function expectIntegers(actual: readonly number[], { integers = [], dtype }: Input, what: string): void {
  expect(actual.length, what).toBe(integers.length)
  const slack = dtype === 'int32' ? 1 : 0
  for (const [index, value] of integers.entries()) {
    expect(Math.abs((actual[index] as number) - value), `${what} at ${index}`).toBeLessThanOrEqual(slack)
  }
}

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { differentiate } from '../../../src/engine/autodiff/index.ts'
import { viewOf } from '../../../src/engine/ir/tensor.ts'
import { decodedModel } from '../../support/models.ts'
import { floats, numbers, runModel } from '../passes/support.ts'
import { torchNets } from './torch-nets.ts'

interface Plain {
  readonly dims: readonly number[]
  readonly values: readonly number[]
}

interface Fixture {
  readonly nets: Readonly<
    Record<string, { loss: number; tensors: Record<string, Plain>; gradients: Record<string, Plain> }>
  >
}

const file = path.join(import.meta.dirname, '../../fixtures/gradients/torch.json')
const { nets } = JSON.parse(readFileSync(file, 'utf8')) as Fixture
const relative = 2e-4

describe('gradients of whole nets', () => {
  it('cover every net of the fixture', () => {
    expect(Object.keys(torchNets)).toEqual(Object.keys(nets))
  })

  it.each(Object.entries(nets))('%s: equal those of PyTorch', async (name, { loss, tensors, gradients }) => {
    const { nodes, constants, opset = 17 } = torchNets[name]!
    const { x, ...parameters } = Object.fromEntries(
      Object.entries(tensors).map(([key, { dims, values }]) => [key, floats(dims, values)]),
    )
    const model = decodedModel({
      opset,
      inputs: { x: ['float32', x!.dims] },
      outputs: { loss: ['float32', []] },
      initializers: { ...parameters, ...constants },
      nodes,
    })
    const found = differentiate(model, { loss: 'loss', wanted: Object.keys(gradients) })
    const values = new Map([...model.graph.nodes].flatMap((node) => node.outputs.map((value) => [value.name, value])))
    for (const gradient of new Set(found.values())) model.graph.addOutput(values.get(gradient)!)
    const outputs = await runModel(model, { x: x! })
    expect(viewOf(outputs['loss']!, 'float32')[0]).toBeCloseTo(loss, 4)
    for (const [key, { dims, values: expected }] of Object.entries(gradients)) {
      const gradient = outputs[found.get(key)!]
      expect(gradient?.dims, key).toEqual(dims)
      const scale = Math.max(...expected.map(Math.abs), 1e-3)
      const worst = Math.max(...numbers(gradient).map((value, index) => Math.abs(value - expected[index]!)))
      expect(worst / scale, key).toBeLessThan(relative)
    }
  })
})

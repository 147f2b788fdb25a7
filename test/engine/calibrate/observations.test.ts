import { expect, test } from 'vitest'
import { addValues, createHistogram, createLanes } from '../../../src/engine/calibrate/histogram.ts'
import { observationKey, type ObservationKind } from '../../../src/engine/calibrate/observation-key.ts'
import { decodeObservations, encodeObservations } from '../../../src/engine/calibrate/observations.ts'
import { cloneModel } from '../../../src/engine/ir/clone.ts'
import type { Model } from '../../../src/engine/ir/model.ts'
import { decodedModel, type AttributeSpec } from '../../support/models.ts'
import { floats, noise } from '../passes/support.ts'

test('what was seen comes back as it was, the empty histogram of an empty value included', async () => {
  const counted = createHistogram(3)
  addValues(
    counted,
    Float32Array.from({ length: 1000 }, (_, index) => 3 * noise(index)),
    createLanes(),
  )
  const seen = {
    samples: 7,
    ranges: new Map([['x', { min: -0.1, max: 1 / 3 }]]),
    refused: new Map([['π', 'it took the value NaN in calibration']]),
    histograms: new Map([
      ['x', counted],
      ['empty', createHistogram(0)],
    ]),
  }
  expect(await decodeObservations(await encodeObservations(seen))).toEqual(seen)
})

const branch = (op: string): AttributeSpec => ({
  graph: { outputs: { out: ['float32'] }, nodes: [[op, ['x'], ['out']]] },
})

function modelOf(weight: number, inner = 'Abs', label = 'hello'): Model {
  return decodedModel({
    inputs: { x: ['float32', [2]], flag: ['bool', []] },
    outputs: { y: ['float32'] },
    initializers: { w: floats([2], [1, weight]) },
    nodes: [
      ['If', ['flag'], ['i'], { then_branch: branch(inner), else_branch: branch('Relu') }],
      ['Constant', [], ['s'], { value_strings: [label, 'b'] }],
      ['Mul', ['i', 'w'], ['y']],
    ],
  })
}

const kind: ObservationKind = { of: 'extremes', samples: 8, batch: 2 }

test('the same content has the same key, whatever the order of the names; any other content another', () => {
  const model = modelOf(2)
  const key = observationKey(model, ['a', 'b'], kind)
  expect(observationKey(cloneModel(model), ['b', 'a'], { ...kind })).toBe(key)
  const others = [
    observationKey(modelOf(3), ['a', 'b'], kind),
    observationKey(modelOf(2, 'Neg'), ['a', 'b'], kind),
    observationKey(modelOf(2, 'Abs', 'world'), ['a', 'b'], kind),
    observationKey(model, ['a'], kind),
    observationKey(model, ['a', 'b'], { ...kind, of: 'counts' }),
    observationKey(model, ['a', 'b'], { ...kind, of: { average: 0.1 } }),
    observationKey(model, ['a', 'b'], { ...kind, of: { average: 0.2 } }),
    observationKey(model, ['a', 'b'], { ...kind, samples: 9 }),
    observationKey(model, ['a', 'b'], { ...kind, batch: 1 }),
  ]
  expect(new Set([key, ...others]).size).toBe(others.length + 1)
})

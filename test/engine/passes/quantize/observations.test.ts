import { expect, test } from 'vitest'
import { createObservationStore } from '../../../../src/engine/calibrate/observations.ts'
import type { Runtime } from '../../../../src/engine/runtime/port.ts'
import { encodeModel } from '../../../../src/engine/onnx/index.ts'
import { applyPass, datasetOf, floats, noise, runtime, type NodeSpec } from '../support.ts'
import { imageModel, images, weights } from './support.ts'

const nodes: NodeSpec[] = [
  ['Conv', ['x', 'w', 'b'], ['c'], {}, 'first'],
  ['Relu', ['c'], ['r']],
  ['Conv', ['r', 'v'], ['y'], {}, 'second'],
]
const original = () =>
  imageModel(nodes, {
    w: weights([8, 4, 3, 3], 2),
    v: weights([8, 8, 1, 1], 4),
    b: floats([8], (index) => noise(index, 3)),
  })

/** The runtime, and how many sessions were made. */
function countSessions() {
  let sessions = 0
  const counting: Runtime = {
    ...runtime,
    createSession: (...given) => {
      sessions += 1
      return runtime.createSession(...given)
    },
  }
  return { runtime: counting, count: () => sessions }
}

test('another scheme, another choice of ranges or another set of nodes runs no model a second time', async () => {
  const calibration = await datasetOf({ x: images })
  const { runtime: counting, count } = countSessions()
  const context = { calibration, runtime: counting, observations: createObservationStore() }
  const steps: [Record<string, unknown>, number][] = [
    [{}, 1],
    [{ activations: 'int8' }, 1],
    [{ perChannel: false, weights: 'int4' }, 1],
    [{ exclude: ['second'] }, 1],
    [{ calibration: { method: 'percentile', percentile: 99 } }, 2],
    [{ calibration: { method: 'mse' }, activations: 'int8' }, 2],
    [{ calibration: { method: 'entropy' } }, 2],
    [{ calibration: { method: 'percentile', percentile: 90 } }, 2],
    [{ calibration: { method: 'moving_average', averagingConstant: 0.5 } }, 3],
    [{ calibration: { samples: 2 } }, 4],
    // It changes the model that is observed.
    [{ equalize: true }, 5],
  ]
  for (const [options, sessions] of steps) {
    const kept = await applyPass('quantize.static', original(), options, context)
    expect(count(), JSON.stringify(options)).toBe(sessions)
    const fresh = await applyPass('quantize.static', original(), options, { calibration })
    expect(encodeModel(kept.model)).toEqual(encodeModel(fresh.model))
    expect(kept.notes).toEqual(fresh.notes)
  }
  await calibration.close()
})

test('what a run saw on one model says nothing about another', async () => {
  const calibration = await datasetOf({ x: images })
  const { runtime: counting, count } = countSessions()
  const context = { calibration, runtime: counting, observations: createObservationStore() }
  await applyPass('quantize.static', original(), {}, context)
  const other = imageModel(nodes, { w: weights([8, 4, 3, 3], 5), v: weights([8, 8, 1, 1], 4), b: floats([8], () => 0) })
  await applyPass('quantize.static', other, {}, context)
  expect(count()).toBe(2)
  await calibration.close()
})

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { trialRun } from '../../../src/engine/analysis/trial-run.ts'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import { createOrtNodeRuntime } from '../../../src/engine/runtime/ort-node/index.ts'
import { buildModel, ocrModels, type ModelSpec } from '../../support/models.ts'

const runtime = createOrtNodeRuntime()
const deadlineMs = 20_000
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'hasten-trial-'))
})
afterAll(async () => {
  await runtime.close()
  await rm(folder, { recursive: true })
})

async function trial(name: string, spec: ModelSpec) {
  const file = path.join(folder, `${name}.onnx`)
  await writeFile(file, buildModel(spec))
  return trialRun(file, runtime, { deadlineMs })
}

const unary = (op: string): ModelSpec => ({
  inputs: { x: ['float32', ['N', 4]] },
  outputs: { y: ['float32', ['N', 4]] },
  nodes: [[op, ['x'], ['y']]],
})

describe('trialRun', () => {
  it('runs a real model once and says what came out', async () => {
    const report = await trialRun(ocrModels.cls, runtime, { deadlineMs })
    expect(report).toMatchObject({
      providers: ['CPUExecutionProvider'],
      outputs: [{ name: 'softmax_0.tmp_0', dtype: 'float32', dims: [1, 2] }],
      non_finite: [],
    })
    expect(report.load_ms).toBeGreaterThan(0)
    expect(report.run_ms).toBeGreaterThan(0)
  })

  it('names the outputs that are not finite', async () => {
    const spec: ModelSpec = {
      ...unary('Relu'),
      outputs: { y: ['float32', ['N', 4]], z: ['float32', ['N', 4]] },
      initializers: { zero: tensorOf('float32', [1], Float32Array.of(0)) },
      nodes: [
        ['Relu', ['x'], ['y']],
        ['Div', ['x', 'zero'], ['z']],
      ],
    }
    expect((await trial('infinite', spec)).non_finite).toEqual(['z'])
  })

  it('says that a model does not load', async () => {
    await expect(trial('unheard', unary('Unheard'))).rejects.toThrow(
      expect.objectContaining({ code: 'model_load_failed' }),
    )
  })

  it('says on what inputs a model failed', async () => {
    const spec: ModelSpec = {
      inputs: { x: ['float32', ['N', 4]] },
      outputs: { y: ['float32'] },
      initializers: { shape: tensorOf('int64', [1], BigInt64Array.of(7n)) },
      nodes: [['Reshape', ['x', 'shape'], ['y']]],
    }
    await expect(trial('reshape', spec)).rejects.toThrow(
      expect.objectContaining({
        code: 'model_run_failed',
        message: expect.stringContaining('on inputs x [1, 4]:'),
      }),
    )
  })

  it('tries other sizes where the model leaves them open', async () => {
    const spec: ModelSpec = {
      inputs: { x: ['float32', ['N', null]] },
      outputs: { y: ['float32'] },
      initializers: { pads: tensorOf('int64', [4], BigInt64Array.of(0n, 96n, 0n, 96n)) },
      nodes: [['Pad', ['x', 'pads'], ['y'], { mode: 'reflect' }]],
    }
    expect(await trial('pad', spec)).toMatchObject({
      inputs: [{ name: 'x', dtype: 'float32', dims: [1, 256] }],
      outputs: [{ name: 'y', dims: [1, 448] }],
    })
  })

  it('runs on the inputs it is given, and on those only', async () => {
    const file = path.join(folder, 'given.onnx')
    await writeFile(
      file,
      buildModel({ ...unary('Relu'), inputs: { x: ['float32', ['N', 'M']] }, outputs: { y: ['float32'] } }),
    )
    const x = tensorOf('float32', [3, 5], new Float32Array(15))
    const { inputs } = await trialRun(file, runtime, { deadlineMs, feeds: { x } })
    expect(inputs).toEqual([{ name: 'x', dtype: 'float32', dims: [3, 5] }])
    const wrong = trialRun(file, runtime, { deadlineMs, feeds: { z: x } })
    await expect(wrong).rejects.toThrow(expect.objectContaining({ code: 'model_run_failed' }))
  })

  it('ends when it is aborted', async () => {
    const signal = AbortSignal.abort()
    await expect(trialRun(ocrModels.cls, runtime, { deadlineMs, signal })).rejects.toThrow(
      expect.objectContaining({ code: 'run_canceled' }),
    )
  })
})

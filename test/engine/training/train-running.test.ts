import { describe, expect, test } from 'vitest'
import { createOrtNodeRuntime } from '../../../src/engine/runtime/ort-node/index.ts'
import type { TrainEvent, TrainOptions } from '../../../src/engine/training/index.ts'
import type { Tensor } from '../../../src/engine/ir/tensor.ts'
import type { Runtime } from '../../../src/engine/runtime/port.ts'
import { blobs, failure, run, runtime, weightsOf } from './support.ts'

type Tensors = Readonly<Record<string, Tensor>>

/** The runtime, with its runs told: what they took from JavaScript and gave to it. */
function watchRuns(tell: (feeds: Tensors, outputs: Tensors) => void): Runtime {
  return {
    ...runtime,
    async createSession(model, options) {
      const session = await runtime.createSession(model, options)
      return {
        ...session,
        async runBorrowed(feeds, runOptions) {
          const borrowed = await session.runBorrowed(feeds, runOptions)
          tell(feeds, borrowed.outputs)
          return borrowed
        },
      }
    },
  }
}

describe('running', () => {
  test('the same options give the same curve to the bit, another seed another', async () => {
    const [one, same, other] = [await run(), await run(), await run({ seed: 8 })]
    expect(one.losses).toEqual(same.losses)
    expect(weightsOf(one.model)).toEqual(weightsOf(same.model))
    expect(one.history).toEqual(same.history)
    expect(other.losses).not.toEqual(one.losses)
  })

  test('the public binding, which copies outputs, trains to the same numbers', async () => {
    const portable = createOrtNodeRuntime()
    try {
      expect((await run({ runtime: portable })).losses).toEqual((await run()).losses)
    } finally {
      await portable.close()
    }
  })

  test.each([
    ['at once', {}],
    ['from runs that are added up', { batch: 8, accumulate: 2 }],
  ])('no parameter passes through JavaScript from one update to the next: %s', async (_name, options) => {
    const passed: string[][] = []
    const watched = watchRuns((feeds, outputs) => passed.push([...Object.keys(feeds), ...Object.keys(outputs)]))
    await run({ ...options, runtime: watched, validationShare: 0, epochs: 2 })
    const isState = (name: string) => /^train\/(state|next)\//.test(name)
    expect(passed[0]?.filter(isState)).toContain('train/state/parameters')
    // A sum begins with zeros that never change; the state itself was written once, before the first update.
    const later = passed.slice(3).map((names) => names.filter((name) => name !== 'train/state/gradient'))
    expect(later.length).toBeGreaterThan(20)
    expect(later.flat().filter(isState)).toEqual([])
  })

  test('samples read from disk one by one make the same batches', async () => {
    expect((await run({ memoryBytes: 0 })).losses).toEqual((await run()).losses)
  })

  test.each<[string, Partial<TrainOptions>]>([
    ['Adam', {}],
    [
      'momentum, clipping, an average and a schedule',
      {
        optimizer: { kind: 'sgd', momentum: 0.9 },
        clipNorm: 1,
        ema: 0.9,
        schedule: { kind: 'cosine', warmup: 4 },
      },
    ],
    ['accumulation', { batch: 8, accumulate: 2 }],
  ])('resumed from any checkpoint it equals a training that was never stopped: %s', async (_name, options) => {
    const checkpoints: Uint8Array[] = []
    const whole = await run({ ...options, checkpointEvery: 5, onCheckpoint: (bytes) => void checkpoints.push(bytes) })
    expect(checkpoints.length).toBeGreaterThan(5)
    for (const at of [0, 2, 4]) {
      const resumed = await run({ ...options, resume: checkpoints[at]! })
      expect(resumed.losses).toEqual(whole.losses)
      expect(resumed.history).toEqual(whole.history)
      expect(resumed.resumes).toHaveLength(1)
      expect(weightsOf(resumed.model)).toEqual(weightsOf(whole.model))
    }
  })

  test('tells where each process went on, also after several', async () => {
    const checkpoints: Uint8Array[] = []
    const keep = { checkpointEvery: 5, onCheckpoint: (bytes: Uint8Array) => void checkpoints.push(bytes) }
    expect((await run(keep)).resumes).toEqual([])
    const [first] = checkpoints.splice(0)
    await run({ ...keep, resume: first! })
    const later = checkpoints[2]!
    expect((await run({ resume: later })).resumes).toEqual([
      { epoch: 1, step: 5 },
      { epoch: 2, step: 15 },
    ])
  })

  test('the history has the rate of each epoch, and on how many samples it was trained and judged', async () => {
    const { history, samples, batch } = await run({ schedule: { kind: 'step', every: 14, factor: 0.5 } })
    expect(history.map(({ learningRate }) => learningRate)).toEqual([null, 0.01, 0.005, 0.0025])
    expect(samples.training + samples.validation).toBe(blobs().samples)
    expect(Math.ceil(samples.training / batch)).toBe(14)
  })

  test('events tell step, epoch, loss, metric and the time left', async () => {
    const events: TrainEvent[] = []
    await run({ onEvent: (event) => events.push(event), schedule: { kind: 'step', every: 10, factor: 0.5 } })
    const updates = events.filter(({ validationLoss }) => validationLoss === undefined)
    const epochs = events.filter(({ validationLoss }) => validationLoss !== undefined)
    expect(updates.map(({ step }) => step)).toEqual(Array.from({ length: 42 }, (_, index) => index + 1))
    expect(updates.every(({ steps, etaMs }) => steps === 42 && etaMs >= 0)).toBe(true)
    expect(updates.at(-1)!.etaMs).toBe(0)
    expect(updates.map(({ epoch }) => epoch)).toEqual(
      Array.from({ length: 42 }, (_, index) => Math.floor(index / 14) + 1),
    )
    expect(updates.every(({ epochs }) => epochs === 3)).toBe(true)
    expect(updates.map(({ learningRate }) => learningRate).slice(8, 12)).toEqual([0.01, 0.01, 0.005, 0.005])
    expect(epochs.map(({ epoch }) => epoch)).toEqual([1, 2, 3])
    expect(epochs.every(({ metric, metricName }) => metric !== undefined && metricName === 'accuracy')).toBe(true)
  })

  test('the best epoch is what comes back, the original where nothing was better', async () => {
    const trained = (await run({ epochs: 10 })).model
    const { best, model } = await run({
      model: trained,
      learningRate: 5,
      optimizer: { kind: 'sgd' },
      clipNorm: 1,
      epochs: 2,
    })
    expect(best.epoch).toBe(0)
    expect(weightsOf(model)).toEqual(weightsOf(trained))
  })

  test('it stops when epochs bring nothing', async () => {
    const trained = (await run({ epochs: 10 })).model
    const options = { learningRate: 5, optimizer: { kind: 'sgd' }, clipNorm: 1, epochs: 20, patience: 2 } as const
    const { stopped, history } = await run({ model: trained, ...options })
    expect(stopped).toBe('patience')
    expect(history).toHaveLength(3)
  })

  test('it stops after the updates that were allowed', async () => {
    const { stopped, losses, history } = await run({ maxSteps: 20 })
    expect(stopped).toBe('steps')
    expect(losses).toHaveLength(20)
    expect(history.at(-1)!.step).toBe(20)
  })

  test('a separate dataset can judge', async () => {
    const { history } = await run({ validation: blobs({ seed: 99, samples: 40 }) })
    expect(history[0]!.metric! * 40).toBeCloseTo(Math.round(history[0]!.metric! * 40), 4)
    expect(history.at(-1)!.step).toBe(45)
  })

  test('an abort ends it', async () => {
    const controller = new AbortController()
    const onEvent = ({ step }: TrainEvent) => step === 3 && controller.abort()
    const error = await failure(run({ signal: controller.signal, onEvent: (event) => void onEvent(event) }))
    expect(error.code).toBe('job_canceled')
  })
})

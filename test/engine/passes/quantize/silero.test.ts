import { expect, test } from 'vitest'
import { tensorOf, viewOf, type Tensor } from '../../../../src/engine/ir/tensor.ts'
import { allNodes } from '../../../../src/engine/ir/model.ts'
import { encodeModel, loadModel } from '../../../../src/engine/onnx/index.ts'
import type { Session } from '../../../../src/engine/runtime/port.ts'
import { vadModel } from '../../../support/models.ts'
import {
  applyPass,
  cosine,
  countOps,
  datasetOf,
  floats,
  noise,
  numbers,
  optimizedByRuntime,
  runtime,
} from '../support.ts'

const chunks = 24

/** Something like speech: a voice of gliding pitch with formants, in syllables, over some noise. */
function speech(rate: number, length: number, seed: number): Tensor {
  return floats([chunks, 1, length], (index) => {
    const time = index / rate
    const pitch = 110 + 40 * Math.sin(2 * Math.PI * 0.7 * time + seed)
    const syllable = Math.max(0, Math.sin(2 * Math.PI * 3 * time + seed)) ** 2
    const harmonics = Array.from({ length: 12 }, (_, order) => {
      const frequency = pitch * (order + 1)
      const formant = Math.exp(-(((frequency - 600) / 300) ** 2)) + 0.5 * Math.exp(-(((frequency - 1400) / 400) ** 2))
      return (0.05 + formant) * Math.sin(2 * Math.PI * frequency * time)
    })
    return 0.3 * syllable * harmonics.reduce((sum, value) => sum + value, 0) + 0.01 * noise(index, seed)
  })
}

interface Recording {
  readonly input: Tensor
  readonly state: Tensor
  readonly sr: Tensor
  readonly probabilities: readonly number[]
  readonly lastState: readonly number[]
}

/** Runs the chunks one after the other, each with the state that the one before it left, or that `guide` had before it. */
async function listen(
  session: Session,
  rate: number,
  length: number,
  seed: number,
  guide?: Recording,
): Promise<Recording> {
  const input = speech(rate, length, seed)
  const states: number[] = []
  const probabilities: number[] = []
  let state: Tensor = floats([2, 1, 128], () => 0)
  for (let chunk = 0; chunk < chunks; chunk += 1) {
    if (guide !== undefined) state = floats([2, 1, 128], numbers(guide.state).slice(chunk * 256, (chunk + 1) * 256))
    states.push(...numbers(state))
    const audio = viewOf(input, 'float32').slice(chunk * length, (chunk + 1) * length)
    const feeds = {
      input: tensorOf('float32', [1, length], audio),
      state,
      sr: tensorOf('int64', [], BigInt64Array.of(BigInt(rate))),
    }
    const { output, stateN } = await session.run(feeds)
    probabilities.push(...numbers(output))
    state = floats([2, 1, 128], numbers(stateN))
  }
  return {
    input,
    state: floats([chunks, 2, 1, 128], states),
    sr: tensorOf('int64', [chunks], new BigInt64Array(chunks).fill(BigInt(rate))),
    probabilities,
    lastState: numbers(state),
  }
}

test.each([
  [16_000, 512],
  [8000, 256],
])('Silero VAD at %i Hz: the branch that the recording takes runs in int8', async (rate, length) => {
  const original = await loadModel(vadModel)
  const float = await runtime.createSession({ path: vadModel }, {})
  const { input, state, sr } = await listen(float, rate, length, 1)
  const calibration = await datasetOf({ input, state, sr })
  const { model, notes } = await applyPass('quantize.static', original, { exclude: ['*stft*'] }, { calibration })
  await calibration.close()
  const convs = notes.filter(({ op }) => op === 'Conv')
  expect(convs.filter(({ action }) => action === 'done')).toHaveLength(5)
  const reasons = convs.filter(({ action }) => action === 'skipped').map(({ reason }) => reason)
  expect(reasons.filter((reason) => reason === 'excluded by the options')).toHaveLength(2)
  expect(reasons.filter((reason) => /no sample of the calibration data gave it a value/.test(reason))).toHaveLength(5)
  expect(countOps(await optimizedByRuntime(model))['QLinearConv']).toBe(5)
  expect([...allNodes(model)].filter(({ graph }) => graph === model.graph).map(({ opType }) => opType)).not.toContain(
    'QuantizeLinear',
  )
  const int8 = await runtime.createSession({ bytes: encodeModel(model) }, {})
  const expected = await listen(float, rate, length, 2)
  const free = await listen(int8, rate, length, 2)
  const guided = await listen(int8, rate, length, 2, expected)
  await float.release()
  await int8.release()
  expect(Math.max(...expected.probabilities)).toBeGreaterThan(0.5)
  // An error goes on in the state of all chunks after it, so that each is judged from the state it should have had.
  const worst = Math.max(
    ...expected.probabilities.map((value, index) => Math.abs(value - (guided.probabilities[index] as number))),
  )
  expect(worst).toBeLessThan(0.25)
  expect(cosine(expected.lastState, free.lastState)).toBeGreaterThan(0.98)
})

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { tensorOf, viewOf } from '../../../src/engine/ir/tensor.ts'
import { createOrtRuntime } from '../../../src/engine/runtime/ort/index.ts'
import type { Runtime } from '../../../src/engine/serving.ts'
import { createCapture, type CaptureOptions, type Sample } from '../../../src/serving/traffic/capture.ts'
import { openVersion, requestOf, scaled, take, type TestVersion } from './versions.ts'

let runtime: Runtime
let version: TestVersion
beforeAll(() => {
  runtime = createOrtRuntime()
})
afterAll(() => runtime.close())
beforeEach(async () => {
  version = await openVersion(runtime, 1, scaled(1))
})
afterEach(() => version.close())

/** A sink in memory, and what it got. */
function sinkOf({ cut = 1, room = 1000 } = {}) {
  const samples: Sample[] = []
  let free = room
  return {
    samples,
    free: () => free,
    cut: () => cut,
    reserve: (bytes: number) => free >= bytes && ((free -= bytes), true),
    add(added: readonly Sample[], reserved: number) {
      samples.push(...added)
      free += reserved
    },
  }
}

/** Random numbers in this order. */
function randomOf(...numbers: number[]): () => number {
  return () => numbers.shift() ?? 0.99
}

const capture = (over: Partial<CaptureOptions> & Pick<CaptureOptions, 'sink'>) =>
  createCapture(version.served.lane, { share: 1, inputs: version.served.inputs, ...over })
const rowsOf = (samples: readonly Sample[]) => samples.map(({ key, arrays: [x] }) => [key, ...viewOf(x!, 'float32')])

describe('capture', () => {
  test('keeps rows as samples, each by a key of its own', async () => {
    const sink = sinkOf({ cut: 0.5 })
    const lane = capture({ sink, random: randomOf(0, 0.25, 0.75, 0.125) })
    const rows = [
      [1, 2, 3],
      [4, 5, 6],
      [7, 8, 9],
    ]
    expect(take(await lane.submit(requestOf(rows)))).toEqual(rows)
    expect(rowsOf(sink.samples)).toEqual([
      [0.25, 1, 2, 3],
      [0.125, 7, 8, 9],
    ])
    expect(sink.samples[0]!.arrays).toMatchObject([{ name: 'x', dtype: 'float32', dims: [3] }])
  })

  test('looks at a share of requests only', async () => {
    const sink = sinkOf()
    const lane = capture({ sink, share: 0.5, random: randomOf(0.5, 0.49, 0.1) })
    for (const row of [
      [1, 1, 1],
      [2, 2, 2],
    ])
      (await lane.submit(requestOf([row]))).release()
    expect(rowsOf(sink.samples)).toEqual([[0.1, 2, 2, 2]])
  })

  test('copies what it keeps: a body is freed after its answer', async () => {
    const sink = sinkOf()
    const request = requestOf([[1, 2, 3]])
    const result = await capture({ sink, random: randomOf(0, 0.1) }).submit(request)
    result.release()
    viewOf(request.feeds['x']!, 'float32').fill(9)
    expect(rowsOf(sink.samples)).toEqual([[0.1, 1, 2, 3]])
  })

  test('keeps nothing of requests that fail, nor numbers that no dataset may hold', async () => {
    const sink = sinkOf()
    const lane = capture({ sink, random: randomOf(0, 0.1, 0, 0.2, 0.3) })
    const late = requestOf([[1, 2, 3]], { deadlineAt: performance.now() - 1 })
    await expect(lane.submit(late)).rejects.toMatchObject({ code: 'run_deadline' })
    const result = await lane.submit(
      requestOf([
        [1, NaN, 3],
        [4, 5, 6],
      ]),
    )
    result.release()
    expect(rowsOf(sink.samples)).toEqual([[0.3, 4, 5, 6]])
    expect(sink.free(), 'what was reserved is given back').toBe(1000)
  })

  test('stops when there is no room for more on its way', async () => {
    const sink = sinkOf({ room: 13 })
    const lane = capture({ sink, random: randomOf(0, 0.1, 0.2) })
    const result = await lane.submit(
      requestOf([
        [1, 2, 3],
        [4, 5, 6],
      ]),
    )
    result.release()
    expect(rowsOf(sink.samples)).toEqual([[0.1, 1, 2, 3]])
  })

  test('leaves inputs out, and keeps none where a dataset could not hold one', async () => {
    const inputs = [
      { name: 'x', dtype: 'float32' as const, dims: ['N', 3] },
      { name: 'secret', dtype: 'float32' as const, dims: ['N'] },
    ]
    const feeds = { ...requestOf([[1, 2, 3]]).feeds, secret: tensorOf('float32', [1], Float32Array.of(7)) }
    const lane = { ...version.served.lane, submit: () => version.served.lane.submit(requestOf([[1, 2, 3]])) }
    for (const choice of [{ omit: ['secret'] }, { only: ['x'] }]) {
      const sink = sinkOf()
      const result = await createCapture(lane, { share: 1, inputs, sink, random: randomOf(0, 0.1), ...choice }).submit({
        ...requestOf([]),
        feeds,
      })
      result.release()
      expect(sink.samples.map(({ arrays }) => arrays.map(({ name }) => name))).toEqual([['x']])
    }
    const text = [{ name: 'x', dtype: 'string' as const, dims: ['N'] }]
    expect(createCapture(lane, { share: 1, inputs: text, sink: sinkOf() })).toBe(lane)
    expect(createCapture(lane, { share: 1, inputs, sink: sinkOf(), only: [] })).toBe(lane)
  })

  test('takes a request whole where its inputs share no first dim', async () => {
    const inputs = [
      { name: 'x', dtype: 'float32' as const, dims: ['N', 3] },
      { name: 'state', dtype: 'float32' as const, dims: [2, 'N'] },
    ]
    const sink = sinkOf()
    const rows = [
      [1, 2, 3],
      [4, 5, 6],
    ]
    const state = tensorOf('float32', [2, 2], Float32Array.of(1, 2, 3, 4))
    const lane = { ...version.served.lane, submit: () => version.served.lane.submit(requestOf(rows)) }
    const request = { ...requestOf(rows), feeds: { ...requestOf(rows).feeds, state } }
    const result = await createCapture(lane, { share: 1, inputs, sink, random: randomOf(0, 0.1) }).submit(request)
    result.release()
    expect(sink.samples.map(({ arrays }) => arrays.map(({ dims }) => dims))).toEqual([
      [
        [2, 3],
        [2, 2],
      ],
    ])
  })
})

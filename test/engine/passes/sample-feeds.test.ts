import { expect, test } from 'vitest'
import { sampleFeeds } from '../../../src/engine/passes/sample-feeds.ts'
import type { TensorInfo } from '../../../src/engine/runtime/port.ts'

const input = (dims: TensorInfo['dims']): TensorInfo => ({ name: 'x', dtype: 'float32', dims })
const dimsOf = async (...args: Parameters<typeof sampleFeeds>) => (await sampleFeeds(...args)).map(({ x }) => x?.dims)

test('without a batch the two sets differ where the model lets them', async () => {
  expect(await dimsOf([input(['n', 4])], {})).toEqual([
    [1, 4],
    [2, 4],
  ])
})

test('a batch goes where the model leaves one open, over dims known to work', async () => {
  const sampleInputs = [input([1, 3, 48, 192])]
  expect(await dimsOf([input(['n', 3, 'h', 'w'])], { sampleInputs }, 8)).toEqual([
    [8, 3, 48, 192],
    [8, 3, 48, 192],
  ])
  expect(await dimsOf([input([1, 3, 'h', 'w'])], { sampleInputs }, 8)).toEqual([
    [1, 3, 48, 192],
    [1, 3, 48, 192],
  ])
})

import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { bindDataset, checkDataset, openDataset, writeNpz } from '../../../src/engine/data/index.ts'
import { encodeNpy } from '../../../src/engine/data/write.ts'
import { stringTensor, tensorOf, viewOf, type Tensor } from '../../../src/engine/ir/tensor.ts'
import type { TensorInfo } from '../../../src/engine/runtime/port.ts'
import { HastenError } from '../../../src/errors.ts'
import { expectError, makeFolder, writeTemporary } from './npz-files.ts'

const floats = (dims: number[], fill = 0.5) =>
  tensorOf('float32', dims, new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(fill))

async function datasetOf(arrays: Record<string, Tensor>) {
  const path = join(makeFolder(), 'data.npz')
  await writeNpz(path, arrays)
  const dataset = await openDataset(path)
  onTestFinished(() => dataset.close())
  return dataset
}

const input = (name: string, dtype: TensorInfo['dtype'], dims: TensorInfo['dims']): TensorInfo => ({
  name,
  dtype,
  dims,
})
const image = input('image', 'float32', ['batch', 1, 4, null])

describe('checkDataset', () => {
  it('accepts what fits: fixed dims equal, symbolic and unknown ones free', async () => {
    const dataset = await datasetOf({
      image: floats([5, 1, 4, 7]),
      labels: tensorOf('int64', [5], new BigInt64Array(5)),
    })
    const bound = await checkDataset(dataset, [image])
    expect(bound.warnings).toEqual([])
    expect(bound.dataset).toMatchObject({ samples: 5, fixedBatch: null })
    expect((await bound.dataset.read(1, 2)).image).toEqual(floats([2, 1, 4, 7]))
    expect((await bound.dataset.labels(1, 2))?.dims).toEqual([2])
  })

  it('converts what numpy’s defaults make of it, and says so', async () => {
    const values = Float64Array.from([0.1, -2, 3, 4])
    const ids = Int32Array.from([1, -2, 2 ** 31 - 1, 0])
    const dataset = await datasetOf({ x: tensorOf('float64', [4, 1], values), ids: tensorOf('int32', [4, 1], ids) })
    const inputs = [input('x', 'float32', ['n', 1]), input('ids', 'int64', ['n', 1])]
    const { dataset: bound, warnings } = await checkDataset(dataset, inputs)
    expect(warnings).toEqual([
      'array x is converted from float64 to float32',
      'array ids is converted from int32 to int64',
    ])
    const feeds = await bound.read(0, 4)
    expect(viewOf(feeds.x!, 'float32')).toEqual(Float32Array.from(values))
    expect(viewOf(feeds.ids!, 'int64')).toEqual(BigInt64Array.from([1n, -2n, 2n ** 31n - 1n, 0n]))
  })

  it.each<[string, Record<string, Tensor>, TensorInfo[], string[]]>([
    [
      'missing',
      { other: floats([2, 1]) },
      [image],
      ['array "image" is missing', 'array "other" is not an input of the model, which has: image'],
    ],
    [
      'narrowed integers',
      { x: tensorOf('int64', [2], new BigInt64Array(2)) },
      [input('x', 'int32', ['n'])],
      ['array "x" is int64, but the model takes int32'],
    ],
    [
      'integers for floats',
      { x: tensorOf('uint8', [2], new Uint8Array(2)) },
      [input('x', 'float32', ['n'])],
      ['array "x" is uint8, but the model takes float32'],
    ],
    [
      'text for floats',
      { x: stringTensor([2], ['a', 'b']) },
      [input('x', 'float32', ['n'])],
      ['array "x" is string, but the model takes float32'],
    ],
    [
      'a lower rank',
      { image: floats([2, 4, 7]) },
      [image],
      ['array "image" has 3 axes [2, 4, 7], but the model takes [batch, 1, 4, ?]'],
    ],
    [
      'another fixed dim',
      { image: floats([2, 1, 5, 7]) },
      [image],
      ['array "image" has dims [2, 1, 5, 7], but the model takes [batch, 1, 4, ?]'],
    ],
    [
      'two problems in one array',
      { image: tensorOf('uint8', [2, 3, 4, 4], new Uint8Array(96)) },
      [image],
      [
        'array "image" is uint8, but the model takes float32',
        'array "image" has dims [2, 3, 4, 4], but the model takes [batch, 1, 4, ?]',
      ],
    ],
  ])('refuses %s', async (_, arrays, inputs, problems) => {
    const error = await expectError(checkDataset(await datasetOf(arrays), inputs), 'dataset_mismatch', /array/)
    expect(error.errors.map(({ detail }) => detail)).toEqual(problems)
    expect(error.message).toBe(problems.join('; '))
  })

  it('refuses NaN, which only reading shows', async () => {
    const dataset = await datasetOf({ image: floats([5, 1, 4, 7], Number.NaN) })
    expect(bindDataset(dataset, [image]).warnings).toEqual([])
    await expectError(checkDataset(dataset, [image]), 'dataset_invalid', /NaN/)
  })

  it('fits a bare .npy to a model’s only input', async () => {
    const dataset = await openDataset(writeTemporary('x.npy', encodeNpy(floats([3, 1, 4, 4]))))
    onTestFinished(() => dataset.close())
    const bound = await checkDataset(dataset, [image])
    expect((await bound.dataset.read(0, 1)).image?.dims).toEqual([1, 1, 4, 4])
    await expectError(
      checkDataset(dataset, [image, input('mask', 'float32', ['n'])]),
      'dataset_mismatch',
      /"image" is missing/,
    )
  })
})

describe('fixed batches', () => {
  it('reports the batch a model insists on', async () => {
    const dataset = await datasetOf({ x: floats([5, 3]) })
    expect(bindDataset(dataset, [input('x', 'float32', [1, 3])]).dataset.fixedBatch).toBe(1)
    expect(bindDataset(dataset, [input('x', 'float32', [4, 3])]).dataset.fixedBatch).toBe(4)
  })

  it('refuses a batch larger than the dataset, and inputs that disagree', async () => {
    const dataset = await datasetOf({ x: floats([5, 3]), y: floats([5, 3]) })
    const bind = (x: number, y: number) => () =>
      bindDataset(dataset, [input('x', 'float32', [x, 3]), input('y', 'float32', [y, 3])])
    expect(bind(8, 8)).toThrow(HastenError)
    expect(bind(8, 8)).toThrow('the model takes 8 samples at once; the dataset has 5')
    expect(bind(2, 4)).toThrow('array "y" has batch 4, but another input takes 2')
  })

  it('takes an array with one axis more as one whole input a sample', async () => {
    const rate = tensorOf('int64', [3], BigInt64Array.from([8n, 16n, 48n]))
    const dataset = await datasetOf({ rate, state: floats([3, 2, 1, 8]), sound: floats([3, 64]) })
    const inputs = [
      input('rate', 'int64', []),
      input('state', 'float32', [2, 'batch', 8]),
      input('sound', 'float32', ['batch', null]),
    ]
    const { dataset: bound } = await checkDataset(dataset, inputs)
    expect(bound.fixedBatch).toBe(1)
    const feeds = await bound.read(1, 1)
    expect(feeds.rate).toEqual(tensorOf('int64', [], BigInt64Array.of(16n)))
    expect([feeds.state?.dims, feeds.sound?.dims]).toEqual([
      [2, 1, 8],
      [1, 64],
    ])
    await expect(bound.read(0, 2)).rejects.toThrow(RangeError)
    const other = [
      input('rate', 'int64', []),
      input('state', 'float32', [3, null, 8]),
      input('sound', 'float32', [1, 64]),
    ]
    expect(() => bindDataset(dataset, other)).toThrow('array "state" has dims [3, 2, 1, 8]')
  })
})

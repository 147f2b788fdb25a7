import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { openDataset } from '../../../src/engine/data/open.ts'
import { streamNpz } from '../../../src/engine/data/write.ts'
import { viewOf } from '../../../src/engine/ir/tensor.ts'

const dir = mkdtempSync(path.join(tmpdir(), 'hasten-npz-'))
afterAll(() => rmSync(dir, { recursive: true }))

async function* pieces(...parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts
}

test('arrays that come piece by piece are read back', async () => {
  const file = path.join(dir, 'streamed.npz')
  const [first, second] = [Float32Array.of(1, 2), Float32Array.of(3, 4)].map((each) => new Uint8Array(each.buffer))
  await streamNpz(file, [
    { name: 'x', dtype: 'float32', dims: [2, 2], read: () => pieces(first!, second!) },
    { name: 'n', dtype: 'uint8', dims: [2], read: () => pieces(Uint8Array.of(5), Uint8Array.of(6)) },
  ])
  const dataset = await openDataset(file)
  const { x, n } = await dataset.read(0, 2)
  expect([...viewOf(x!, 'float32')]).toEqual([1, 2, 3, 4])
  expect([...viewOf(n!, 'uint8')]).toEqual([5, 6])
  await dataset.close()
})

test('an array that fails, is too short, or has no name for a file fails the whole', async () => {
  const file = path.join(dir, 'broken.npz')
  const array = { name: 'x', dtype: 'uint8' as const, dims: [2] }
  const failing = async function* () {
    yield Uint8Array.of(1)
    throw new Error('gone')
  }
  await expect(streamNpz(file, [{ ...array, read: failing }])).rejects.toThrow('gone')
  await expect(streamNpz(file, [{ ...array, read: () => pieces(Uint8Array.of(1)) }])).rejects.toThrow(
    'unexpected number of bytes',
  )
  await expect(streamNpz(file, [{ ...array, name: '../x', read: () => pieces() }])).rejects.toMatchObject({
    code: 'dataset_invalid',
  })
  await expect(streamNpz(file, [{ ...array, dtype: 'bfloat16', read: () => pieces() }])).rejects.toMatchObject({
    code: 'input_dtype',
  })
})

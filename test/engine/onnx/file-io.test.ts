import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { dropBytes, readRanges, writeChunks } from '../../../src/engine/onnx/file-io.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'hasten-io-'))
})
afterAll(() => rm(folder, { recursive: true }))

/** Bytes whose place can be told from them, over more than two pieces. */
const large = Uint8Array.from(new Uint32Array(2_500_000).map((_, index) => index * 2_654_435_761))
  .fill(7, 0, 1)
  .map((byte, index) => byte ^ (index >> 16))

async function withFile<T>(name: string, flags: string, use: (file: Awaited<ReturnType<typeof open>>) => Promise<T>) {
  const file = await open(path.join(folder, name), flags)
  try {
    return await use(file)
  } finally {
    await file.close()
  }
}

describe('readRanges', () => {
  it('fills each range from its place, also those longer than a piece', async () => {
    const bytes = Buffer.concat([large, large, large])
    await writeFile(path.join(folder, 'read'), bytes)
    const ranges = [
      { position: 3, into: new Uint8Array(bytes.length - 5) },
      { position: 0, into: new Uint8Array(2) },
      { position: 9, into: new Uint8Array(0) },
    ]
    expect(await withFile('read', 'r', (file) => readRanges(file, ranges))).toBe(true)
    expect(Buffer.compare(ranges[0]!.into, bytes.subarray(3, -2))).toBe(0)
    expect(Buffer.compare(ranges[1]!.into, bytes.subarray(0, 2))).toBe(0)
  })

  it('tells when the file ends before a range does', async () => {
    await writeFile(path.join(folder, 'short'), 'abc')
    const ranges = [{ position: 1, into: new Uint8Array(3) }]
    expect(await withFile('short', 'r', (file) => readRanges(file, ranges))).toBe(false)
  })
})

describe('writeChunks', () => {
  it('writes small and large chunks in order, more than one call takes', async () => {
    const small = Array.from({ length: 3000 }, (_, index) => Uint8Array.of(index, index >> 8))
    const chunks = [...small, large, new Uint8Array(0), large, ...small]
    await withFile('write', 'w', (file) => writeChunks(file, chunks))
    expect(Buffer.compare(await readFile(path.join(folder, 'write')), Buffer.concat(chunks))).toBe(0)
  })

  it('starts where it is told to', async () => {
    await withFile('at', 'w', async (file) => {
      await writeChunks(file, [Buffer.from('cd')], 2)
      await writeChunks(file, [Buffer.from('ab')])
    })
    expect(await readFile(path.join(folder, 'at'), 'utf8')).toBe('abcd')
  })
})

describe('dropBytes', () => {
  it.each([
    [0, 'ab cde f'],
    [1, 'b cde f'],
    [2, 'cde f'],
    [4, 'e f'],
    [6, ''],
  ])('without the first %i bytes leaves %j', (count, left) => {
    const chunks = ['ab', 'cde', 'f'].map((text) => Buffer.from(text))
    expect(
      dropBytes(chunks, count)
        .map((chunk) => Buffer.from(chunk).toString())
        .join(' '),
    ).toBe(left)
  })
})

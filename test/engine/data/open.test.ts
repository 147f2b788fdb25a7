import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { deflateRawSync } from 'node:zlib'
import { describe, expect, it, onTestFinished } from 'vitest'
import { batchesOf, openDataset, scanDataset, writeNpz, type DatasetOptions } from '../../../src/engine/data/index.ts'
import { encodeNpy } from '../../../src/engine/data/write.ts'
import { stringTensor, tensorOf, viewOf, type StringTensor, type Tensor } from '../../../src/engine/ir/tensor.ts'
import { expectError, makeFolder, npyFile, npyHeader, writeTemporary, zipFile, type ZipMember } from './npz-files.ts'

const counting = (length: number) => Float32Array.from({ length }, (_, index) => index)
const images = tensorOf('float32', [6, 2, 3], counting(36))
const labels = tensorOf('int64', [6], BigInt64Array.from([3n, 1n, 4n, 1n, 5n, 9n]))

async function open(path: string, options: DatasetOptions = {}) {
  const dataset = await openDataset(path, options)
  onTestFinished(() => dataset.close())
  return dataset
}

async function writeAndOpen(arrays: Record<string, Tensor>, options: DatasetOptions & { compress?: boolean } = {}) {
  const path = join(makeFolder(), 'data.npz')
  await writeNpz(path, arrays, { compress: options.compress ?? true })
  return open(path, options)
}

const openZip = (...members: ZipMember[]) => open(writeTemporary('data.npz', zipFile(members)))
const openNpy = (header: string, data: Uint8Array) => open(writeTemporary('data.npy', npyFile(header, data)))

describe('openDataset', () => {
  it.each([true, false])('reads samples at random from an .npz (deflated: %s)', async (compress) => {
    const dataset = await writeAndOpen({ image: images, labels }, { compress })
    expect(dataset.samples).toBe(6)
    expect(dataset.schema).toEqual({
      arrays: [
        { name: 'image', dtype: 'float32', dims: [6, 2, 3] },
        { name: 'labels', dtype: 'int64', dims: [6] },
      ],
      labels: 'labels',
    })
    for (const [start, count] of [
      [4, 2],
      [0, 1],
      [1, 4],
    ] as const) {
      const { image, ...others } = await dataset.read(start, count)
      expect(others).toEqual({})
      expect(image).toEqual(tensorOf('float32', [count, 2, 3], counting(36).slice(start * 6, (start + count) * 6)))
      const wanted = viewOf(labels, 'int64').slice(start, start + count)
      expect(await dataset.labels(start, count)).toEqual(tensorOf('int64', [count], wanted))
    }
    await expect(dataset.read(5, 2)).rejects.toThrow(RangeError)
    await expect(dataset.labels(-1, 2)).rejects.toThrow(RangeError)
  })

  it('reads what numpy wrote', async () => {
    const path = join(import.meta.dirname, '../../../examples/digits/evaluation.npz')
    const dataset = await open(path)
    expect(dataset.schema.arrays).toEqual([
      { name: 'image', dtype: 'float32', dims: [2000, 1, 28, 28] },
      { name: 'labels', dtype: 'int64', dims: [2000] },
    ])
    await scanDataset(dataset)
    const { image } = await dataset.read(1999, 1)
    expect(Math.max(...viewOf(image!, 'float32'))).toBeGreaterThan(0.9)
  })

  it.each([
    ['small arrays once, in memory', 1, 0],
    ['large ones once, to a file that nobody sees', 2 ** 22, 1],
  ])('unpacks deflated %s, and frees every handle', async (_what, width, files) => {
    const spoolDirectory = makeFolder()
    const path = join(makeFolder(), 'data.npz')
    const wide = tensorOf(
      'float32',
      [6, width],
      Float32Array.from({ length: 6 * width }, (_, index) => index % 77),
    )
    await writeNpz(path, { wide })
    const handles = () => readdirSync('/dev/fd').length
    const before = handles()
    const dataset = await openDataset(path, { spoolDirectory })
    const [, , last] = await Promise.all([dataset.unpack(), dataset.read(0, 3), dataset.read(5, 1)])
    expect(viewOf(last.wide!, 'float32')[0]).toBe((5 * width) % 77)
    expect(readdirSync(spoolDirectory)).toEqual([])
    expect(handles()).toBe(before + 1 + files)
    await dataset.close()
    expect(handles()).toBe(before)
    await dataset.close()
  })

  it('opens a bare .npy by content, whatever the file is called', async () => {
    const dataset = await open(writeTemporary('blob', Buffer.from(encodeNpy(images))))
    expect(dataset.schema).toEqual({ arrays: [{ name: 'data', dtype: 'float32', dims: [6, 2, 3] }], labels: null })
    expect((await dataset.read(2, 1)).data?.dims).toEqual([1, 2, 3])
    expect(await dataset.labels(0, 1)).toBeUndefined()
  })

  it('takes the labels the caller names, or none', async () => {
    const arrays = { image: images, labels, classes: labels }
    expect((await writeAndOpen(arrays, { label: 'classes' })).schema.labels).toBe('classes')
    const unlabelled = await writeAndOpen(arrays, { label: null })
    expect(unlabelled.schema.labels).toBeNull()
    expect(Object.keys(await unlabelled.read(0, 1))).toEqual(['image', 'labels', 'classes'])
    await expectError(writeAndOpen(arrays, { label: 'truth' }), 'dataset_invalid', /no array "truth".*image, labels/)
  })

  it.each([2, 3])('reads .npy version %i', async (version) => {
    const file = npyFile(npyHeader('<f4', '(2,)'), new Uint8Array(8), version)
    expect((await open(writeTemporary('data.npy', file))).samples).toBe(2)
  })
})

describe('element types', () => {
  it.each([
    ['float16', Uint16Array.from([0x3c_00, 0xc0_00])],
    ['float64', Float64Array.from([1.5, -2])],
    ['int8', Int8Array.from([-1, 2])],
    ['uint16', Uint16Array.from([1, 65_535])],
    ['int32', Int32Array.from([-1, 2])],
    ['uint64', BigUint64Array.from([1n, 2n ** 64n - 1n])],
    ['bool', Uint8Array.from([0, 1])],
  ] as const)('%s survives a round trip', async (dtype, values) => {
    const tensor = { dtype, dims: [2], bytes: new Uint8Array(values.buffer) }
    const dataset = await writeAndOpen({ x: tensor })
    expect((await dataset.read(0, 2)).x).toEqual(tensor)
  })

  it('text survives, as bytes and from numpy’s UTF-32', async () => {
    const dataset = await writeAndOpen({ x: stringTensor([2], ['añb', 'longer text']) })
    const texts = (await dataset.read(0, 2)).x as StringTensor
    expect(texts.strings.map((bytes) => new TextDecoder().decode(bytes))).toEqual(['añb', 'longer text'])
    const utf32 = new Uint8Array(Uint32Array.from([0x61, 0x1_f6_00, 0, 0x62, 0, 0]).buffer)
    const unicode = await openNpy(npyHeader('<U3', '(2,)'), utf32)
    const read = (await unicode.read(0, 2)).data as StringTensor
    expect(read.strings.map((bytes) => new TextDecoder().decode(bytes))).toEqual(['a😀', 'b'])
  })

  it.each([
    ['>f4', '3f800000c0000000', [1, -2]],
    ['>i2', '0001ffff', [1, -1]],
    ['>u8', '00000000000000010000000000000100', [1n, 256n]],
  ])('turns big-endian %s around', async (descr, hex, values) => {
    const dataset = await openNpy(npyHeader(descr, '(2,)'), Buffer.from(hex, 'hex'))
    expect([...viewOf((await dataset.read(0, 2)).data!)]).toEqual(values)
  })

  it.each([
    ['|O', /Python objects \(pickle\)/],
    ['<c8', /complex numbers/],
    ['|V2', /structured or opaque/],
    ['<M8', /dates/],
    ['<f16', /size other than 2, 4 or 8/],
    ["[('a', '<f4')]", /structured/],
    ['<q9', /dtype/],
    ['nonsense', /dtype/],
  ])('refuses %s', async (descr, text) => {
    await expectError(openNpy(npyHeader(descr, '(2,)'), new Uint8Array(64)), 'dataset_invalid', text)
  })

  it('refuses Fortran order, except where it means nothing', async () => {
    const twoAxes = openNpy(npyHeader('<f4', '(2, 2)', 'True'), new Uint8Array(16))
    await expectError(twoAxes, 'dataset_invalid', /Fortran order; save np\.ascontiguousarray/)
    expect((await openNpy(npyHeader('<f4', '(4,)', 'True'), new Uint8Array(16))).samples).toBe(4)
  })
})

describe('damaged and hostile .npy files', () => {
  const good = npyFile(npyHeader('<f4', '(2, 3)'), new Uint8Array(24))
  const huge = (length: number) => {
    const file = Buffer.alloc(64)
    file.write('\x93NUMPY\x02\x00', 'latin1')
    file.writeUInt32LE(length, 8)
    return file
  }

  it.each<[string, Uint8Array, RegExp]>([
    ['empty', new Uint8Array(0), /neither \.npz nor \.npy/],
    ['text', Buffer.from('a,b\n1,2\n'), /neither \.npz nor \.npy/],
    ['cut in the prefix', good.subarray(0, 9), /ends inside its header/],
    ['cut in the header', good.subarray(0, 40), /ends inside its header/],
    ['cut in the data', good.subarray(0, -1), /shape \(2, 3\), 24 bytes, but 23 bytes/],
    ['trailing bytes', Buffer.concat([good, new Uint8Array(3)]), /24 bytes, but 27 bytes/],
    ['version 9', Buffer.from([...good.subarray(0, 6), 9, ...good.subarray(7)]), /version 9/],
    ['a header of 4 GB', huge(0xff_ff_ff_ff), /header of 4294967295 bytes/],
    ['not a dictionary', npyFile('__import__("os")', new Uint8Array(0)), /not a dictionary/],
    ['a nested dictionary', npyFile("{'descr': {}}", new Uint8Array(0)), /not a dictionary/],
    ['no shape', npyFile("{'descr': '<f4', 'fortran_order': False}", new Uint8Array(4)), /valid `shape`/],
    [
      'two shapes',
      npyFile("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'shape': (2,)}", new Uint8Array(8)),
      /one valid `shape`/,
    ],
    ['a negative dim', npyFile(npyHeader('<f4', '(-1,)'), new Uint8Array(4)), /valid `shape`/],
    [
      'a shape of 2^60',
      npyFile(npyHeader('<f4', '(1073741824, 1073741824)'), new Uint8Array(4)),
      /but 4 bytes of data/,
    ],
    ['a shape past 2^53', npyFile(npyHeader('<f4', '(99999999999999999999,)'), new Uint8Array(4)), /impossible shape/],
    ['a thousand axes', npyFile(npyHeader('<f4', `(${'1,'.repeat(1000)})`), new Uint8Array(4)), /1000 axes/],
    ['no samples', npyFile(npyHeader('<f4', '(0, 3)'), new Uint8Array(0)), /no samples/],
    ['no elements', npyFile(npyHeader('<f4', '(3, 0)'), new Uint8Array(0)), /no elements/],
    ['a scalar', npyFile(npyHeader('<f4', '()'), new Uint8Array(4)), /is a scalar/],
  ])('%s', async (_, bytes, text) => {
    await expectError(open(writeTemporary('data.npy', bytes)), 'dataset_invalid', text)
  })

  it('a file that shrinks while it is open', async () => {
    const path = writeTemporary('data.npy', good)
    const dataset = await open(path)
    truncateSync(path, good.length - 20)
    await expectError(dataset.read(1, 1), 'dataset_invalid', /truncated/)
  })
})

async function readWhole(path: string): Promise<void> {
  const dataset = await openDataset(path)
  try {
    await scanDataset(dataset)
  } finally {
    await dataset.close()
  }
}

describe('damaged and hostile .npz files', () => {
  const data = npyFile(npyHeader('<f4', '(2, 3)'), new Uint8Array(24))
  /** More than is unpacked in memory. */
  const largeNpy = npyFile(npyHeader('<f4', `(2, ${2 ** 22})`), new Uint8Array(2 ** 25))
  const member = (name: string, more: Partial<ZipMember> = {}): ZipMember => ({ name, data, ...more })

  it.each<[string, ZipMember[], RegExp]>([
    ['no members', [], /holds no array/],
    ['a member that is no array', [member('readme.txt')], /not a named \.npy/],
    ['a member without a name', [member('.npy')], /not a named \.npy/],
    ['a control character', [member('a\nb.npy')], /not a named \.npy/],
    ['an absolute name', [member('/etc/x.npy')], /cannot be read: absolute path/],
    ['an escaping name', [member('../x.npy')], /cannot be read: invalid relative path/],
    ['a name twice', [member('x.npy'), member('x.npy')], /"x" is in the \.npz twice/],
    ['encryption', [member('x.npy', { flags: 1 })], /encrypted/],
    ['bzip2', [member('x.npy', { method: 12 })], /compressed with bzip2/],
    ['an unknown method', [member('x.npy', { method: 77 })], /method 77/],
    ['an empty member', [member('x.npy', { method: 0, data: new Uint8Array(0) })], /is empty/],
    ['a shared body', [member('a.npy'), member('b.npy', { offset: 0 })], /overlaps/],
    ['nothing but labels', [member('labels.npy')], /nothing but labels/],
    ['a bomb', [member('x.npy', { size: 2 ** 31 })], /unpacks \d+ bytes to 2147483648, over 200 : 1/],
    ['a body that breaks off', [member('x.npy', { packed: deflateRawSync(data).subarray(0, -6) })], /unexpected end/],
    ['a bad body', [member('x.npy', { packed: Buffer.from('not deflate') })], /cannot be unpacked/],
    ['a size that is not the shape’s', [member('x.npy', { size: data.length + 1 })], /24 bytes, but 25 bytes/],
  ])('%s', async (_, members, text) => {
    await expectError(openZip(...members), 'dataset_invalid', text)
  })

  it('arrays whose sample counts differ', async () => {
    const promise = writeAndOpen({ image: images, labels: tensorOf('int32', [5], new Int32Array(5)) })
    await expectError(promise, 'dataset_invalid', '"labels" has 5 samples, but "image" has 6')
  })

  it('more members or bytes than allowed', async () => {
    const path = writeTemporary('data.npz', zipFile([member('a.npy'), member('b.npy')]))
    await expectError(open(path, { limits: { maxArrays: 1 } }), 'dataset_invalid', /2 members, over 1/)
    await expectError(open(path, { limits: { maxBytes: 200 } }), 'dataset_invalid', /more than 200 bytes/)
  })

  describe.each([
    ['in memory', []],
    ['to a file', [{ name: 'large.npy', data: largeNpy }]],
  ])('unpacked %s', (_where, others: readonly ZipMember[]) => {
    const openWith = (damaged: ZipMember) => openZip(damaged, ...others)

    it('a wrong checksum shows on reading', async () => {
      const dataset = await openWith(member('x.npy', { crc: 1 }))
      await expectError(dataset.read(0, 1), 'dataset_invalid', /checksum/)
      await expectError(scanDataset(dataset), 'dataset_invalid', /checksum/)
    })

    it('a body that unpacks to more, or less, than it says', async () => {
      const longer = await openWith(member('x.npy', { packed: deflateRawSync(Buffer.concat([data, data])) }))
      await expectError(longer.read(0, 1), 'dataset_invalid', /unpacks to more than its 152 bytes/)
      const shorter = await openWith(member('x.npy', { packed: deflateRawSync(data.subarray(0, -4)) }))
      await expectError(shorter.read(0, 1), 'dataset_invalid', /truncated: 4 bytes missing/)
    })
  })

  it('every truncation of a good file is refused, and no handle stays open', async () => {
    const path = join(makeFolder(), 'good.npz')
    await writeNpz(path, { image: images, labels })
    const bytes = readFileSync(path)
    const cut = join(makeFolder(), 'cut.npz')
    const before = readdirSync('/dev/fd').length
    for (let length = 0; length < bytes.length; length += 7) {
      writeFileSync(cut, bytes.subarray(0, length))
      await expectError(openDataset(cut), 'dataset_invalid', /./)
    }
    expect(readdirSync('/dev/fd').length).toBe(before)
  })

  it('every flipped byte is refused or changes nothing but the data', async () => {
    const path = join(makeFolder(), 'good.npz')
    await writeNpz(path, { image: images })
    const bytes = readFileSync(path)
    for (let index = 0; index < bytes.length; index += 3) {
      const flipped = Buffer.from(bytes)
      flipped[index] = (flipped[index] ?? 0) ^ 0xff
      writeFileSync(path, flipped)
      const result = await readWhole(path).catch((error: unknown) => error)
      if (result !== undefined) expect(result).toMatchObject({ code: 'dataset_invalid' })
    }
  })
})

describe('scanDataset', () => {
  it.each([
    ['float32', Float32Array.from([0, 1, 2, Number.NaN, 4, 5]), 1],
    ['float64', Float64Array.from([0, 1, 2, 3, 1e300, 5]), 2],
    ['float16', Uint16Array.from([0, 0x7c_00, 0, 0, 0, 0]), 0],
  ] as const)('names the array and the sample with a number that is none (%s)', async (dtype, values, sample) => {
    const tensor = { dtype, dims: [3, 2], bytes: new Uint8Array(values.buffer) }
    const dataset = await writeAndOpen({ fine: tensorOf('int8', [3], new Int8Array(3)), odd: tensor })
    await expectError(
      scanDataset(dataset),
      'dataset_invalid',
      `array "odd" holds NaN or a number past float32's range in sample ${sample}`,
    )
  })

  it('judges labels too, and stops when told to', async () => {
    const bad = tensorOf('float32', [6], Float32Array.from([0, 0, 0, 0, 0, Number.POSITIVE_INFINITY]))
    await expectError(
      scanDataset(await writeAndOpen({ image: images, labels: bad })),
      'dataset_invalid',
      /"labels".*sample 5/,
    )
    const dataset = await writeAndOpen({ image: images })
    await expectError(scanDataset(dataset, { signal: AbortSignal.abort() }), 'job_canceled', /canceled/)
  })
})

describe('batchesOf', () => {
  const batches = (samples: number, fixedBatch: number | null, size: number, limit?: number) =>
    [...batchesOf({ samples, fixedBatch }, size, limit)].map(({ start, count }) => [start, count])

  it('covers every sample, the last run being shorter', () => {
    expect(batches(7, null, 3)).toEqual([
      [0, 3],
      [3, 3],
      [6, 1],
    ])
    expect(batches(7, null, 3, 4)).toEqual([
      [0, 3],
      [3, 1],
    ])
  })

  it('keeps to a fixed batch and leaves the remainder out', () => {
    expect(batches(7, 2, 3)).toEqual([
      [0, 2],
      [2, 2],
      [4, 2],
    ])
    expect(batches(3, 1, 16)).toEqual([
      [0, 1],
      [1, 1],
      [2, 1],
    ])
  })
})

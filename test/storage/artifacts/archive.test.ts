import { createReadStream, createWriteStream, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { pack, type Header } from 'tar-stream'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ZipFile } from 'yazl'
import { defaultArchiveLimits, unpackArchive, type ArchiveKind } from '../../../src/storage/artifacts/archive.ts'
import { readAll } from '../../support/storage.ts'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'hasten-archive-test-'))
})
afterEach(() => {
  rmSync(dir, { recursive: true })
})

const limits = { ...defaultArchiveLimits, maxBytes: 10_000_000 }
const model = Buffer.from('not really a model')

async function makeTar(entries: readonly (Partial<Header> & { name: string; content?: Buffer })[]): Promise<Buffer> {
  const tar = pack()
  for (const { content = Buffer.alloc(0), ...header } of entries) tar.entry(header, content)
  tar.finalize()
  return readAll(tar as unknown as Readable)
}

async function makeZip(entries: readonly { name: string; content?: Buffer; mode?: number }[]): Promise<Buffer> {
  const zip = new ZipFile()
  for (const { name, content = Buffer.alloc(0), mode = 0o100644 } of entries) zip.addBuffer(content, name, { mode })
  zip.end()
  return readAll(zip.outputStream as unknown as Readable)
}

async function unpack(bytes: Buffer, kind: ArchiveKind, changes = {}, from: 'stream' | 'file' = 'stream') {
  const files: Record<string, string> = {}
  const sink = async (name: string, content: Readable) => {
    files[name] = (await readAll(content)).toString()
  }
  const file = path.join(dir, 'archive')
  if (from === 'file') writeFileSync(file, bytes)
  await unpackArchive(from === 'file' ? file : Readable.from([bytes]), kind, sink, { ...limits, ...changes })
  return files
}

const invalid = (reason: string) => ({ code: 'archive_invalid', message: expect.stringContaining(reason) })

describe.each(['stream', 'file'] as const)('a good archive from a %s', (from) => {
  test('tar', async () => {
    const bytes = await makeTar([
      { name: 'nested', type: 'directory' },
      { name: './nested/model.onnx', content: model },
      { name: 'weights.bin', content: Buffer.from('w') },
    ])
    expect(await unpack(bytes, 'tar', {}, from)).toEqual({ 'nested/model.onnx': model.toString(), 'weights.bin': 'w' })
  })

  test('zip', async () => {
    const bytes = await makeZip([{ name: 'a/model.onnx', content: model }, { name: 'weights.bin' }])
    expect(await unpack(bytes, 'zip', {}, from)).toEqual({ 'a/model.onnx': model.toString(), 'weights.bin': '' })
  })
})

test('the folder itself, as `tar cf model.tar .` writes it, is no file', async () => {
  const bytes = await makeTar([
    { name: './', type: 'directory' },
    { name: './model.onnx', content: model },
  ])
  expect(await unpack(bytes, 'tar')).toEqual({ 'model.onnx': model.toString() })
  const asFile = await makeTar([{ name: './', content: model }])
  await expect(unpack(asFile, 'tar')).rejects.toMatchObject({ code: 'archive_invalid' })
})

test('a name longer than a tar header holds', async () => {
  const name = `${'deep/'.repeat(40)}model.onnx`
  expect(Object.keys(await unpack(await makeTar([{ name, content: model }]), 'tar'))).toEqual([name])
})

describe('names', () => {
  test.each([
    ['../model.onnx', 'leaves its folder'],
    ['a/../../model.onnx', 'leaves its folder'],
    ['/etc/model.onnx', 'absolute path'],
    ['a//model.onnx', 'plain relative path'],
    ['a\\model.onnx', 'backslash'],
    ['C:model.onnx', 'colon'],
    ['a\nb.onnx', 'control character'],
  ])('%j is refused', async (name, reason) => {
    await expect(unpack(await makeTar([{ name, content: model }]), 'tar')).rejects.toMatchObject(invalid(reason))
  })

  test('a zip with an escaping name is refused', async () => {
    const good = await makeZip([{ name: 'xx/model.onnx', content: model }])
    const bad = Buffer.from(good.toString('latin1').replaceAll('xx/model', '../model'), 'latin1')
    await expect(unpack(bad, 'zip')).rejects.toMatchObject({ code: 'archive_invalid' })
  })

  test.each([
    ['the same name', ['model.onnx', 'model.onnx']],
    ['the same name in other letters', ['model.onnx', 'Model.ONNX']],
    ['the same name after normalization', ['caf\u00e9.bin', 'cafe\u0301.bin']],
    ['a file below a file', ['model', 'model/weights.bin']],
    ['a file over a folder', ['model/weights.bin', 'model']],
  ])('%s twice is refused', async (_, names) => {
    const entries = names.map((name) => ({ name, content: model }))
    await expect(unpack(await makeTar(entries), 'tar')).rejects.toMatchObject({ code: 'archive_invalid' })
    await expect(unpack(await makeZip(entries), 'zip')).rejects.toMatchObject({ code: 'archive_invalid' })
  })
})

describe('what is no regular file', () => {
  test.each([
    ['link', 'a hard link'],
    ['symlink', 'a symbolic link'],
    ['character-device', 'a special file'],
    ['block-device', 'a special file'],
    ['fifo', 'a special file'],
  ] as const)('a %s in a tar is refused', async (type, reason) => {
    const bytes = await makeTar([{ name: 'model.onnx', type, linkname: '/etc/passwd' }])
    await expect(unpack(bytes, 'tar')).rejects.toMatchObject(invalid(reason))
  })

  test.each([
    [0o120777, 'a symbolic link'],
    [0o020666, 'a special file'],
  ])('mode %o in a zip is refused', async (mode, reason) => {
    const bytes = await makeZip([{ name: 'model.onnx', content: Buffer.from('/etc/passwd'), mode }])
    await expect(unpack(bytes, 'zip')).rejects.toMatchObject(invalid(reason))
  })
})

describe('bombs', () => {
  test('a zip entry that unpacks to far more than its length', async () => {
    const bytes = await makeZip([{ name: 'model.onnx', content: Buffer.alloc(8_000_000) }])
    await expect(unpack(bytes, 'zip')).rejects.toMatchObject(invalid('200 times'))
    expect(Object.keys(await unpack(bytes, 'zip', { maxRatio: 2000 }))).toEqual(['model.onnx'])
  })

  test('a zip that declares less than comes out', async () => {
    const bytes = await makeZip([{ name: 'model.onnx', content: Buffer.alloc(500_000) }])
    const declared = bytes.indexOf(Buffer.from('PK\u0001\u0002')) + 24
    bytes.writeUInt32LE(5, declared)
    await expect(unpack(bytes, 'zip')).rejects.toMatchObject({ code: 'archive_invalid' })
  })

  test.each(['tar', 'zip'] as const)('more bytes than allowed in a %s', async (kind) => {
    const entries = ['a', 'b', 'c'].map((name) => ({ name, content: Buffer.from('x'.repeat(400)) }))
    const bytes = await (kind === 'tar' ? makeTar(entries) : makeZip(entries))
    await expect(unpack(bytes, kind, { maxBytes: 1199 })).rejects.toMatchObject({ code: 'body_too_large' })
    expect(Object.keys(await unpack(bytes, kind, { maxBytes: 1200 }))).toHaveLength(3)
  })

  test.each(['tar', 'zip'] as const)('more entries than allowed in a %s', async (kind) => {
    const entries = Array.from({ length: 6 }, (_, i) => ({ name: `f${i}` }))
    const bytes = await (kind === 'tar' ? makeTar(entries) : makeZip(entries))
    await expect(unpack(bytes, kind, { maxEntries: 5 })).rejects.toMatchObject(invalid('more than 5 entries'))
  })

  test('a tar header that never ends', async () => {
    const header = (await makeTar([{ name: 'x', type: 'file', size: 0 }])).subarray(0, 512)
    const endless = Buffer.from(header)
    endless.write('77777777777', 124, 'latin1')
    endless.write('L', 156, 'latin1')
    endless.fill(' ', 148, 156)
    endless.write(
      endless
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0') + '\0 ',
      148,
      'latin1',
    )
    let given = 0
    const source = async function* () {
      yield endless
      for (; given < 1000; given += 1) yield Buffer.alloc(65_536)
    }
    const unpacking = unpackArchive(Readable.from(source()), 'tar', async () => {}, { ...limits, maxBytes: 1e12 })
    await expect(unpacking).rejects.toMatchObject({ code: 'archive_invalid' })
    expect(given).toBeLessThan(40)
  })
})

describe('malformed archives and failures', () => {
  test.each([
    ['tar', Buffer.from('x'.repeat(2000))],
    ['zip', Buffer.from('not a zip at all')],
    ['zip', Buffer.alloc(0)],
  ] as const)('a %s that is none', async (kind, bytes) => {
    await expect(unpack(bytes, kind)).rejects.toMatchObject({ code: 'archive_invalid' })
  })

  test('a truncated tar', async () => {
    const bytes = await makeTar([{ name: 'model.onnx', content: Buffer.alloc(5000) }])
    await expect(unpack(bytes.subarray(0, 2000), 'tar')).rejects.toMatchObject({ code: 'archive_invalid' })
  })

  test('a zip whose content does not match its checksum', async () => {
    const bytes = await makeZip([{ name: 'model.onnx', content: model }])
    const crc = bytes.indexOf(Buffer.from('PK\u0001\u0002')) + 16
    bytes.writeUInt32LE(1, crc)
    await expect(unpack(bytes, 'zip')).rejects.toMatchObject(invalid('checksum'))
  })

  test.each(['tar', 'zip'] as const)('what the sink throws comes out as it is (%s)', async (kind) => {
    const bytes = await (kind === 'tar' ? makeTar : makeZip)([{ name: 'model.onnx', content: model }])
    const sink = async () => Promise.reject(new Error('the sink is full'))
    await expect(unpackArchive(Readable.from([bytes]), kind, sink, limits)).rejects.toThrow('the sink is full')
  })

  test.each(['tar', 'zip'] as const)('what the source throws comes out as it is (%s)', async (kind) => {
    const source = async function* () {
      yield await makeTar([{ name: 'model.onnx', content: model }])
      throw new Error('connection reset')
    }
    const unpacking = unpackArchive(Readable.from(source()), kind, async (_, content) => void content.resume(), limits)
    await expect(unpacking).rejects.toThrow('connection reset')
  })

  test('a sink that skips a file gets the next one', async () => {
    const bytes = await makeTar([
      { name: 'skipped', content: Buffer.alloc(300_000) },
      { name: 'model.onnx', content: model },
    ])
    const seen: string[] = []
    const sink = async (name: string, content: Readable) => {
      seen.push(name)
      content.resume()
    }
    await unpackArchive(Readable.from([bytes]), 'tar', sink, limits)
    expect(seen).toEqual(['skipped', 'model.onnx'])
  })

  test('the temporary file of a zip is gone afterwards', async () => {
    const temporary = () => readdirSync(tmpdir()).filter((name) => /^hasten-archive-(?!test)/.test(name))
    const before = temporary()
    const file = path.join(dir, 'good.zip')
    await pipeline(Readable.from([await makeZip([{ name: 'a' }])]), createWriteStream(file))
    await unpackArchive(createReadStream(file), 'zip', async (_, content) => void content.resume(), limits)
    await expect(unpack(Buffer.from('bad'), 'zip')).rejects.toThrow('zip')
    expect(temporary()).toEqual(before)
  })
})

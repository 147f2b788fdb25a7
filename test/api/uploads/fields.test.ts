import { describe, expect, it } from 'vitest'
import { readMetadata, readName, refuseUnknownFields } from '../../../src/api/uploads/fields.ts'
import { arrangeFiles } from '../../../src/api/uploads/store-model.ts'

describe('readName', () => {
  it.each([
    ['digits.onnx', 'digits'],
    ['My Model (2).ONNX', 'my-model-2-'],
    ['../../etc/passwd', 'etc-passwd'],
    ['...x.zip', 'x'],
  ])('makes a name of %j', (filename, name) => {
    expect(readName(undefined, filename)).toBe(name)
  })

  it('takes a given name as it is', () => {
    expect(readName('a.b_c-9', 'x.onnx')).toBe('a.b_c-9')
  })

  it.each(['', 'A', '-a', 'a/b', 'a\n', 'ü', 'a'.repeat(129)])('refuses the name %j', (name) => {
    expect(() => readName(name, 'x.onnx')).toThrow(expect.objectContaining({ code: 'invalid_name' }))
  })

  it('asks for a name when the file name gives none', () => {
    expect(() => readName(undefined, '模型.onnx')).toThrow(expect.objectContaining({ code: 'invalid_name' }))
  })
})

describe('readMetadata', () => {
  it('reads a flat object of strings, and nothing as none', () => {
    expect(readMetadata('{"git_sha":"abc"}')).toEqual({ git_sha: 'abc' })
    expect(readMetadata(undefined)).toEqual({})
  })

  it.each(['[]', '{"a":1}', '{"a":{"b":"c"}}', '{"a":', JSON.stringify({ a: 'x'.repeat(513) }), '"x"'])(
    'refuses %.30s',
    (text) => {
      expect(() => readMetadata(text)).toThrow(expect.objectContaining({ code: 'invalid_request' }))
    },
  )

  it('refuses more than 16 entries', () => {
    const many = Object.fromEntries(Array.from({ length: 17 }, (_, index) => [`k${index}`, 'v']))
    expect(() => readMetadata(JSON.stringify(many))).toThrow(/at most 16/)
  })
})

it('names every unknown form field', () => {
  expect(() => refuseUnknownFields({ name: 'a', nmae: 'b', labels: 'c' }, ['name', 'label'])).toThrow(
    expect.objectContaining({
      errors: [
        { pointer: '/nmae', detail: 'is not a known field' },
        { pointer: '/labels', detail: 'is not a known field' },
      ],
    }),
  )
})

describe('arrangeFiles', () => {
  const file = (name: string) => ({ name, sha256: 'a'.repeat(64), sizeBytes: 1 })

  it('puts the model first and names the rest relative to its folder', () => {
    const files = arrangeFiles([file('net/data/w.bin'), file('net/m.onnx')])
    expect(files.map(({ name }) => name)).toEqual(['m.onnx', 'data/w.bin'])
  })

  it.each([
    [[file('w.bin')], /no .onnx/],
    [[file('a.onnx'), file('b.onnx')], /more than one model/],
    [[file('net/m.onnx'), file('w.bin')], /not in the folder/],
  ])('refuses an archive without exactly one model and its data', (files, message) => {
    expect(() => arrangeFiles(files)).toThrow(message)
  })
})

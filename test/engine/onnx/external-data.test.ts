import { link, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { create } from '@bufbuild/protobuf'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { createModel } from '../../../src/engine/ir/model.ts'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import { decodeModel } from '../../../src/engine/onnx/decode.ts'
import { loadModel, saveModel } from '../../../src/engine/onnx/file.ts'
import { StringStringEntryProtoSchema, TensorProto_DataLocation } from '../../../src/engine/onnx/generated/onnx_pb.js'
import { printModel } from '../../../src/engine/ir/print.ts'
import { decodedModel, encodeProto, modelProto, ocrModels, type ModelSpec } from '../../support/models.ts'

const large = tensorOf(
  'float32',
  [32, 1024],
  Float32Array.from({ length: 32_768 }, (_, index) => index),
)
const small = tensorOf('float32', [2], Float32Array.of(1, 2))
const spec: ModelSpec = {
  inputs: { x: ['float32', [1, 32]] },
  outputs: { y: ['float32', [1, 1024]] },
  initializers: { small, large, again: large },
  nodes: [['Gemm', ['x', 'large'], ['y']]],
}

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'hasten-external-'))
})
afterAll(() => rm(folder, { recursive: true }))

/** A model whose tensor `large` is external with these entries. */
function externalModel(entries: Record<string, string>): Uint8Array {
  const proto = modelProto(spec)
  const tensor = proto.graph!.initializer.find(({ name }) => name === 'large')!
  tensor.rawData = new Uint8Array(0)
  tensor.dataLocation = TensorProto_DataLocation.EXTERNAL
  tensor.externalData = Object.entries(entries).map(([key, value]) =>
    create(StringStringEntryProtoSchema, { key, value }),
  )
  return encodeProto(proto)
}

describe('saveModel', () => {
  it('puts large weights beside the model, page-aligned, each tensor once', async () => {
    const file = path.join(folder, 'split.onnx')
    const files = await saveModel(decodedModel(spec), file, { externalData: { thresholdBytes: 1000 } })
    expect(files).toEqual(['split.onnx', 'split.onnx.data'])
    expect((await stat(file)).size).toBeLessThan(1000)
    expect((await stat(`${file}.data`)).size).toBeLessThan(large.bytes.byteLength * 2 + 8192)
    const loaded = await loadModel(file)
    expect(printModel(loaded)).toBe(printModel(decodedModel(spec)))
    const [, weight] = [...loaded.graph.initializers]
    expect(weight!.initializer).toMatchObject({ bytes: large.bytes })
  })

  it('keeps everything in one file by default', async () => {
    const file = path.join(folder, 'whole.onnx')
    expect(await saveModel(decodedModel(spec), file)).toEqual(['whole.onnx'])
    expect(printModel(decodeModel(await readFile(file)))).toBe(printModel(decodedModel(spec)))
  })

  it('puts weights outside by itself when one file can not hold them', async () => {
    const model = createModel()
    // One tensor that many initializers share is written once: 2 GiB of weights in 1 MiB.
    const tensor = tensorOf('float32', [2 ** 18], new Float32Array(2 ** 18).fill(3))
    for (let index = 0; index < 2049; index++) model.graph.addInitializer(`w${index}`, tensor)
    const file = path.join(folder, 'huge.onnx')
    expect(await saveModel(model, file)).toEqual(['huge.onnx', 'huge.onnx.data'])
    expect((await stat(`${file}.data`)).size).toBe(2 ** 20)
    const [first] = [...(await loadModel(file, { lazy: true })).graph.initializers]
    expect(first!.initializer).toMatchObject({ bytes: tensor.bytes })
  })

  it('saves over the files that it was loaded from', async () => {
    const file = path.join(folder, 'over.onnx')
    const options = { externalData: { thresholdBytes: 1000 } }
    await saveModel(decodedModel(spec), file, options)
    await saveModel(await loadModel(file), file, options)
    const [, weight] = [...(await loadModel(file)).graph.initializers]
    expect(weight!.initializer).toMatchObject({ bytes: large.bytes })
  })

  it('leaves no partial file when it fails', async () => {
    await expect(saveModel(decodedModel(spec), path.join(folder, 'missing', 'm.onnx'))).rejects.toThrow('ENOENT')
    const taken = path.join(folder, 'taken.onnx')
    await mkdir(taken)
    await expect(saveModel(decodedModel(spec), taken)).rejects.toThrow('EISDIR')
    expect((await readdir(folder)).filter((name) => name.endsWith('.partial'))).toEqual([])
  })
})

describe('loadModel', () => {
  it('reads external data when asked for it, if lazy', async () => {
    await mkdir(path.join(folder, 'lazy'))
    const file = path.join(folder, 'lazy', 'm.onnx')
    await saveModel(decodedModel(spec), file, { externalData: { thresholdBytes: 1000 } })
    const lazy = await loadModel(file, { lazy: true })
    await rm(`${file}.data`)
    const [, weight] = [...lazy.graph.initializers]
    expect(weight!.type).toMatchObject({ dims: [32, 1024] })
    expect(() => weight!.initializer!.dtype !== 'string' && weight!.initializer!.bytes).toThrow('is missing')
    await expect(loadModel(file)).rejects.toThrow(expect.objectContaining({ code: 'model_invalid' }))
  })

  it('reads bytes that several tensors name once', async () => {
    await writeFile(path.join(folder, 'shared'), large.bytes)
    const proto = modelProto(spec)
    for (const tensor of proto.graph!.initializer.slice(1)) {
      tensor.rawData = new Uint8Array(0)
      tensor.dataLocation = TensorProto_DataLocation.EXTERNAL
      tensor.externalData = [create(StringStringEntryProtoSchema, { key: 'location', value: 'shared' })]
    }
    const file = path.join(folder, 'sharing.onnx')
    await writeFile(file, encodeProto(proto))
    const [, one, other] = [...(await loadModel(file)).graph.initializers].map(({ initializer }) => initializer)
    expect(one).toMatchObject({ bytes: large.bytes })
    expect((one as typeof large).bytes).toBe((other as typeof large).bytes)
  })

  it('follows hard links but not symbolic ones, to files or through folders', async () => {
    await writeFile(path.join(folder, 'bytes'), large.bytes)
    await link(path.join(folder, 'bytes'), path.join(folder, 'hard'))
    await symlink('bytes', path.join(folder, 'soft'))
    await symlink('.', path.join(folder, 'softfolder'))
    const load = async (location: string) => {
      const file = path.join(folder, 'linked.onnx')
      await writeFile(file, externalModel({ location }))
      return loadModel(file)
    }
    expect((await load('hard')).graph.initializers.size).toBe(3)
    await expect(load('soft')).rejects.toThrow(expect.objectContaining({ code: 'model_unsafe' }))
    await expect(load('softfolder/bytes')).rejects.toThrow("'softfolder/bytes' of tensor 'large' is a symbolic link")
  })

  it('refuses a file over 2 GiB unread', async () => {
    const file = path.join(folder, 'sparse.onnx')
    await writeFile(file, '')
    await truncate(file, 2 ** 31)
    await expect(loadModel(file)).rejects.toThrow('an ONNX file over 2 GiB keeps its weights outside')
  })

  it('loads what has none', async () => {
    expect((await loadModel(ocrModels.cls)).graph.nodes.size).toBe(471)
  })
})

describe('references', () => {
  const decode = (entries: Record<string, string>) =>
    decodeModel(externalModel(entries), { externalData: () => large.bytes })

  it.each([
    '../weights',
    'a/../../weights',
    '/etc/passwd',
    '',
    String.raw`..\weights`,
    'C:/weights',
    '*/_ORT_MEM_ADDR_/*',
    'nul\0byte',
  ])('to %j are refused', (location) => {
    expect(() => decode({ location })).toThrow(
      expect.objectContaining({ code: 'model_unsafe', message: expect.stringContaining("tensor 'large'") }),
    )
  })

  it.each<[Record<string, string>, string]>([
    [{ offset: '-1' }, "offset of tensor 'large' is '-1'"],
    [{ offset: '1e3' }, "offset of tensor 'large' is '1e3'"],
    [{ offset: '99999999999999999999' }, 'not a number of bytes'],
    [{ length: '4' }, "tensor 'large' needs 131072 bytes by its dims, its external data has 4"],
  ])('with %j are refused', (entries, detail) => {
    expect(() => decode({ location: 'w', ...entries })).toThrow(
      expect.objectContaining({ code: 'model_invalid', message: expect.stringContaining(detail) }),
    )
  })

  it('with a key twice are refused, as readers differ in which one wins', () => {
    const proto = modelProto(spec)
    const tensor = proto.graph!.initializer[1]!
    tensor.dataLocation = TensorProto_DataLocation.EXTERNAL
    const entry = (value: string) => create(StringStringEntryProtoSchema, { key: 'location', value })
    tensor.externalData = [entry('fine'), entry('../not')]
    expect(() => decodeModel(encodeProto(proto))).toThrow('has a key twice')
  })

  it('are refused in a model from bytes alone, when the weights are looked at', () => {
    const model = decodeModel(externalModel({ location: 'w' }))
    const [, weight] = [...model.graph.initializers]
    expect(() => weight!.initializer!.dtype !== 'string' && weight!.initializer!.bytes).toThrow(
      "tensor 'large' has external data at 'w', not part of the model",
    )
  })

  it('give the reader an exact range', () => {
    const seen: unknown[] = []
    const model = decodeModel(externalModel({ location: 'w', offset: '64' }), {
      externalData: (reference) => (seen.push(reference), large.bytes),
    })
    const [, weight] = [...model.graph.initializers]
    expect(weight!.initializer!.dtype !== 'string' && weight!.initializer!.bytes).toBe(large.bytes)
    expect(seen).toEqual([{ tensor: 'large', location: 'w', offset: 64, length: 131_072 }])
  })
})

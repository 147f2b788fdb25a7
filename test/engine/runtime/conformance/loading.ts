import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { create } from '@bufbuild/protobuf'
import { afterAll, beforeAll, expect, test } from 'vitest'

import {
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
  TypeProto_SequenceSchema,
  TypeProtoSchema,
} from '../../../../src/engine/onnx/generated/onnx_pb.js'
import { buildModel, encodeProto, modelProto, ocrModels, type ModelSpec } from '../../../support/models.ts'
import type { Subject } from '../conformance.ts'
import { floats, identityModel, numbersOf, pairModel } from './models.ts'

const plain: ModelSpec = {
  inputs: { x: ['float32', [4]] },
  outputs: { y: ['float32', [4]] },
  nodes: [['Identity', ['x'], ['y']]],
}

/** y = x + w, where the model says that w lies in another file. */
function externalModel(location: string, offset = '0'): Uint8Array {
  const proto = modelProto({
    ...plain,
    initializers: { w: floats([4], 0, 0, 0, 0) },
    nodes: [['Add', ['x', 'w'], ['y']]],
  })
  const weight = proto.graph!.initializer[0]!
  weight.rawData = new Uint8Array(0)
  weight.dataLocation = TensorProto_DataLocation.EXTERNAL
  const entries = { location, offset, length: '16' }
  weight.externalData = Object.entries(entries).map(([key, value]) =>
    create(StringStringEntryProtoSchema, { key, value }),
  )
  return encodeProto(proto)
}

/** Begins as the runtime's own flatbuffer format does. */
const ortFormat = new Uint8Array(200)
ortFormat.set([16, 0, 0, 0, ...new TextEncoder().encode('ORTM')])

const unloadable: [string, Uint8Array, RegExp][] = [
  ['no bytes', new Uint8Array(0), /./],
  ['zeros', new Uint8Array(100), /not an ONNX model/],
  ['text', new TextEncoder().encode('<html>not a model</html>'), /not an ONNX model/],
  ['the format of the runtime itself', ortFormat, /not an ONNX model/],
  ['half a model', buildModel(plain).subarray(0, 40), /./],
  ['a newer IR version', buildModel({ ...plain, irVersion: 99 }), /IR version .* is newer .*99/],
  ['a newer opset', buildModel({ ...plain, opset: 99 }), /opset .* is newer .*99/],
  ['an unknown operator', buildModel({ ...plain, nodes: [['Nope', ['x'], ['y']]] }), /operator .* not know.*Nope/],
  ['an unknown domain', buildModel({ ...plain, nodes: [['acme:Nope', ['x'], ['y']]] }), /not know.*acme/],
  ['a dangling input', buildModel({ ...plain, nodes: [['Neg', ['q'], ['y']]] }), /'q'/],
  [
    'a dtype without a kernel',
    buildModel({ ...plain, opset: 21, irVersion: 10, inputs: { x: ['int4', [4]] }, outputs: { y: ['int4', [4]] } }),
    /no kernel/,
  ],
]

export function checkLoading({ runtime }: Subject): void {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'hasten-runtime-'))
    mkdirSync(path.join(folder, 'model'))
    writeFileSync(path.join(folder, 'secret'), new Uint8Array(16).fill(0x3f))
    writeFileSync(path.join(folder, 'model', 'weights'), new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer))
    symlinkSync(path.join('..', 'secret'), path.join(folder, 'model', 'link'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  test.each(unloadable)('refuses %s', async (_, bytes, message) => {
    await expect(runtime().createSession({ bytes })).rejects.toMatchObject({ code: 'model_load_failed', message })
  })

  test('refuses a file that is not there, without telling where it looked', async () => {
    const missing = runtime().createSession({ path: path.join(folder, 'nope.onnx') })
    await expect(missing).rejects.toMatchObject({
      code: 'model_load_failed',
      message: /no such model file.*nope\.onnx/,
    })
    await expect(missing).rejects.not.toMatchObject({ message: expect.stringContaining(folder) })
  })

  test('a suffix does not make a file anything but ONNX', async () => {
    const [file, disguised] = [path.join(folder, 'model.ort'), path.join(folder, 'disguised.ort')]
    writeFileSync(file, pairModel)
    await (await runtime().createSession({ path: file })).release()
    writeFileSync(disguised, ortFormat)
    await expect(runtime().createSession({ path: disguised })).rejects.toMatchObject({ message: /not an ONNX model/ })
  })

  test('writes the graph that it runs where it is told, and only then', async () => {
    const before = readdirSync(folder)
    await (await runtime().createSession({ bytes: pairModel })).release()
    expect(readdirSync(folder)).toEqual(before)
    const file = path.join(folder, 'as-run.onnx')
    await (await runtime().createSession({ bytes: pairModel }, { optimizedModelFile: file })).release()
    const session = await runtime().createSession({ path: file })
    expect(session.inputs.length).toBeGreaterThan(0)
    await session.release()
  })

  test('refuses a path with a NUL character', async () => {
    const file = path.join(folder, 'a.onnx')
    writeFileSync(file, pairModel)
    await expect(runtime().createSession({ path: `${file}\0.txt` })).rejects.toMatchObject({ message: /NUL/ })
  })

  test('refuses an input that is no tensor, saying which', async () => {
    const proto = modelProto({ ...plain, nodes: [['SequenceConstruct', ['x'], ['y']]] })
    const tensorType = proto.graph!.output[0]!.type!
    const value = create(TypeProto_SequenceSchema, { elemType: tensorType })
    proto.graph!.output[0]!.type = create(TypeProtoSchema, { value: { case: 'sequenceType', value } })
    await expect(runtime().createSession({ bytes: encodeProto(proto) })).rejects.toMatchObject({
      code: 'model_load_failed',
      message: /output "y" is a sequence/,
    })
  })

  test('loads a path with spaces and letters beyond ASCII, and shared memory', async () => {
    const file = path.join(folder, 'naïve 名前.onnx')
    writeFileSync(file, pairModel)
    const shared = new Uint8Array(new SharedArrayBuffer(pairModel.length))
    shared.set(pairModel)
    for (const source of [{ path: file }, { bytes: shared }]) {
      const session = await runtime().createSession(source)
      expect(session.outputs.map(({ name }) => name)).toEqual(['sum', 'product'])
      await session.release()
    }
  })

  test('reads external data beside the file', async () => {
    const file = path.join(folder, 'model', 'beside.onnx')
    writeFileSync(file, externalModel('weights'))
    const session = await runtime().createSession({ path: file })
    expect(numbersOf((await session.run({ x: floats([4], 10, 10, 10, 10) })).y)).toEqual([11, 12, 13, 14])
    await session.release()
  })

  test.each(['../secret', 'link', 'nope', '/etc/hostname', '*/_ORT_MEM_ADDR_/*'])(
    'refuses external data at %s of a file',
    async (location) => {
      const file = path.join(folder, 'model', 'outside.onnx')
      writeFileSync(file, externalModel(location))
      await expect(runtime().createSession({ path: file })).rejects.toMatchObject({ code: 'model_load_failed' })
    },
  )

  test.each(['package.json', './package.json', '../secret', '/etc/hostname', '*/_ORT_MEM_ADDR_/*'])(
    'never reads external data of a model from bytes: %s',
    async (location) => {
      // The working directory has this file, large enough to be read as the weight.
      expect(existsSync('package.json')).toBe(true)
      await expect(runtime().createSession({ bytes: externalModel(location) })).rejects.toMatchObject({
        code: 'model_load_failed',
      })
    },
  )

  test('two runtimes, models and loads at a time do not mix', async () => {
    const sessions = await Promise.all([
      runtime().createSession({ bytes: pairModel }),
      runtime().createSession({ path: ocrModels.cls }),
      runtime().createSession({ bytes: identityModel('int64', [1]) }),
    ])
    expect(sessions.map(({ inputs }) => inputs.map(({ dtype }) => dtype))).toEqual([
      ['float32', 'float32'],
      ['float32'],
      ['int64'],
    ])
    await Promise.all(sessions.map((session) => session.release()))
  })
}

import { link, mkdir, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'

import { create } from '@bufbuild/protobuf'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import {
  GraphProtoSchema,
  SparseTensorProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
  TensorProtoSchema,
  TrainingInfoProtoSchema,
  type GraphProto,
  type ModelProto,
} from '../../../src/engine/onnx/generated/onnx_pb.js'
import { encodeProto, modelProto } from '../../support/models.ts'
import { expectRefusal, openFolder, relu, type AdmissionFolder } from './admission.ts'

let place: AdmissionFolder
const admit: AdmissionFolder['admit'] = (...given) => place.admit(...given)
beforeEach(async () => {
  place = await openFolder()
})
afterEach(() => place.remove())

const w = tensorOf('float32', [4], new Float32Array(4))

describe('external data', () => {
  type Entries = Record<string, string>

  function externalModel(entries: Entries, spoil?: (proto: ModelProto) => void): Uint8Array {
    const proto = modelProto({ ...relu, initializers: { w }, nodes: [['Add', ['x', 'w'], ['y']]] })
    makeExternal(proto.graph!.initializer[0]!, entries)
    spoil?.(proto)
    return encodeProto(proto)
  }

  function makeExternal(tensor: GraphProto['initializer'][number], entries: Entries): void {
    tensor.rawData = new Uint8Array(0)
    tensor.dataLocation = TensorProto_DataLocation.EXTERNAL
    tensor.externalData = Object.entries(entries).map(([key, value]) =>
      create(StringStringEntryProtoSchema, { key, value }),
    )
  }

  beforeEach(() => writeFile(path.join(place.folder, 'weights'), new Uint8Array(100)))

  it('beside the model counts to its size', async () => {
    const bytes = externalModel({ location: 'weights', offset: '64', length: '16' })
    const { facts } = await admit(bytes)
    expect(facts).toMatchObject({ size_bytes: bytes.length + 100, parameters: 4 })
  })

  it.each(['../weights', '/etc/hostname', 'a/../../weights', '*/_ORT_MEM_ADDR_/*', ''])(
    'at %j is refused',
    async (location) => {
      await expectRefusal(admit(externalModel({ location })), 'model_unsafe', "external data of tensor 'w'")
    },
  )

  it('that is missing, or too short, or of another length, is refused', async () => {
    await expectRefusal(admit(externalModel({ location: 'none' })), 'model_invalid', "'none' of tensor 'w' is missing")
    const beyond = externalModel({ location: 'weights', offset: '96' })
    await expectRefusal(admit(beyond), 'model_invalid', "'weights' has 100 bytes, tensor 'w' needs 112")
    const other = externalModel({ location: 'weights', length: '8' })
    await expectRefusal(admit(other), 'model_invalid', "tensor 'w' needs 16 bytes by its dims, its external data has 8")
  })

  it('behind a symbolic link is refused', async () => {
    await symlink('/etc/hostname', path.join(place.folder, 'soft'))
    await expectRefusal(
      admit(externalModel({ location: 'soft' })),
      'model_unsafe',
      "'soft' of tensor 'w' is a symbolic link",
    )
  })

  it('that is a hard link is refused', async () => {
    await link(path.join(place.folder, 'weights'), path.join(place.folder, 'hard'))
    await expectRefusal(
      admit(externalModel({ location: 'hard' })),
      'model_unsafe',
      "'hard' of tensor 'w' is a hard link",
    )
  })

  it('that is a folder is refused', async () => {
    await mkdir(path.join(place.folder, 'sub'))
    await expectRefusal(admit(externalModel({ location: 'sub' })), 'model_unsafe', 'is not a regular file')
  })

  it('of the tensor of a Constant node is checked too', async () => {
    const proto = modelProto({ ...relu, nodes: [['Constant', [], ['y'], { value: w }]] })
    makeExternal(proto.graph!.node[0]!.attribute[0]!.t!, { location: '../weights' })
    await expectRefusal(admit(encodeProto(proto)), 'model_unsafe', 'not a plain relative path')
  })

  it('in sparse tensors and training info is refused', async () => {
    const tensor = create(TensorProtoSchema, { name: 'hidden', dataType: 1, dims: [4n] })
    makeExternal(tensor, { location: 'weights' })
    const sparse = externalModel({ location: 'weights' }, (proto) => {
      proto.graph!.sparseInitializer.push(create(SparseTensorProtoSchema, { values: tensor }))
    })
    await expectRefusal(admit(sparse), 'model_unsafe', "tensor 'hidden' in a sparse tensor or training info")
    const training = externalModel({ location: 'weights' }, (proto) => {
      const algorithm = create(GraphProtoSchema, { initializer: [tensor] })
      proto.trainingInfo.push(create(TrainingInfoProtoSchema, { algorithm }))
    })
    await expectRefusal(admit(training), 'model_unsafe', "tensor 'hidden' in a sparse tensor or training info")
  })

  it('that many tensors share is counted for each', async () => {
    const bytes = externalModel({ location: 'weights' }, (proto) => {
      const [first] = proto.graph!.initializer
      first!.dims = [25n]
      for (let index = 0; index < 299; index++) {
        proto.graph!.initializer.push({ ...first!, $typeName: 'onnx.TensorProto', name: `w${index}` })
      }
    })
    expect(bytes.length).toBeLessThan(20_000)
    await expectRefusal(admit(bytes, { maxBytes: 20_000 }), 'model_unsafe', 'the weights take 30000 bytes, over 20000')
  })
})

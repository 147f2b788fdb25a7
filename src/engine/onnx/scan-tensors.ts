import { HastenError } from '../../errors.ts'
import { TensorProto_DataLocation, type ModelProto, type TensorProto } from './generated/onnx_pb.js'

// What lies under these is carried as it is, and nothing here would bring its external data along.
const carriedFields = new Set(['trainingInfo', 'sparseInitializer', 'sparseTensor', 'sparseTensors'])

/**
 * Every tensor of a model with external data, wherever it is.
 * @throws HastenError `model_unsafe` when one is in a part of the model that is only carried
 */
export function* externalTensors(model: ModelProto): Iterable<TensorProto> {
  for (const { tensor, carried } of tensorsWithin(model, false)) {
    if (tensor.dataLocation !== TensorProto_DataLocation.EXTERNAL) continue
    if (carried) {
      const detail = `tensor '${tensor.name}' in a sparse tensor or training info has external data`
      throw new HastenError('model_unsafe', detail)
    }
    yield tensor
  }
}

interface FoundTensor {
  readonly tensor: TensorProto
  readonly carried: boolean
}

// Messages are plain objects; following every field finds tensors in places that a list of fields would forget.
function* tensorsWithin(message: object, carried: boolean): Iterable<FoundTensor> {
  if (isTensor(message)) {
    yield { tensor: message, carried }
    return
  }
  for (const [field, value] of Object.entries(message)) {
    const inside = carried || carriedFields.has(field)
    for (const child of childrenOf(value)) yield* tensorsWithin(child, inside)
  }
}

function isTensor(message: object): message is TensorProto {
  return '$typeName' in message && message.$typeName === 'onnx.TensorProto'
}

function childrenOf(value: unknown): object[] {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return []
  if (!Array.isArray(value)) return [value]
  return typeof value[0] === 'object' ? value : []
}

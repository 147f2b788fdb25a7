import { datatypeOf, datatypeTable } from '../datatypes.ts'
import type { TensorInfo } from '../../engine/serving.ts'
import type { ServedVersion } from '../served-version.ts'
import type { Duration } from '../statistics.ts'

const platform = 'onnxruntime_onnx'

/** GET /v2/models/{name}; -1 stands for any size. */
export function modelMetadata(model: ServedVersion): object {
  return {
    name: model.name,
    versions: [model.version],
    platform,
    inputs: model.inputs.map(tensorMetadata),
    outputs: model.outputs.map(tensorMetadata),
  }
}

function tensorMetadata(info: TensorInfo): object {
  return { name: info.name, datatype: datatypeOf(info.dtype), shape: shapeOf(info) }
}

function shapeOf({ dims }: TensorInfo): number[] {
  return dims.map((dim) => (typeof dim === 'number' ? dim : -1))
}

/**
 * GET /v2/models/{name}/config, in the words of Triton's model configuration. `max_batch_size` 0 says that shapes
 * are whole, without a batch dimension that is left out.
 */
export function modelConfig(model: ServedVersion): object {
  return {
    name: model.name,
    platform,
    backend: 'onnxruntime',
    max_batch_size: 0,
    input: model.inputs.map(tensorConfig),
    output: model.outputs.map(tensorConfig),
    instance_group: [{ name: model.name, kind: 'KIND_CPU', count: model.instances }],
  }
}

function tensorConfig(info: TensorInfo): object {
  const datatype = datatypeOf(info.dtype)
  return { name: info.name, data_type: datatype && datatypeTable[datatype].config, dims: shapeOf(info) }
}

/** GET …/stats of one version. Clients read the numbers as unsigned integers, so there are no others. */
export function modelStatistics({ name, version, statistics }: ServedVersion): object {
  const { success, fail, queue, input, infer, output, lastInference } = statistics.snapshot()
  const none = { count: 0, ns: 0 }
  return {
    name,
    version,
    last_inference: lastInference,
    inference_count: success.count,
    execution_count: success.count,
    inference_stats: {
      success,
      fail,
      queue,
      compute_input: input,
      compute_infer: infer,
      compute_output: output,
      cache_hit: none,
      cache_miss: none,
    },
    batch_stats: success.count === 0 ? [] : [batchOfOne(input, infer, output)],
  }
}

function batchOfOne(input: Duration, infer: Duration, output: Duration): object {
  return { batch_size: 1, compute_input: input, compute_infer: infer, compute_output: output }
}

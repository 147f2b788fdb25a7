import { datatypeOf, datatypeTable } from '../datatypes.ts'
import type { TensorInfo } from '../../engine/serving.ts'
import type { ServedVersion } from '../served-version.ts'
import type { BatchTotals } from '../statistics.ts'

const platform = 'onnxruntime_onnx'

/**
 * GET /v2/models/{name}; -1 stands for any size.
 * @param loaded all versions of the model that answer
 */
export function modelMetadata(model: ServedVersion, loaded: readonly ServedVersion[]): object {
  return {
    name: model.name,
    versions: loaded.map(({ version }) => version),
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
 * are whole; above 0 every shape here leaves the batch dimension out, as clients then expect.
 */
export function modelConfig(model: ServedVersion): object {
  return {
    name: model.name,
    platform,
    backend: 'onnxruntime',
    max_batch_size: model.batching?.maxBatch ?? 0,
    input: model.inputs.map((info) => tensorConfig(info, model)),
    output: model.outputs.map((info) => tensorConfig(info, model)),
    ...batchingConfig(model),
    instance_group: [{ name: model.name, kind: 'KIND_CPU', count: model.instances }],
  }
}

function batchingConfig({ batching }: ServedVersion): object {
  if (batching === undefined) return {}
  const preferred = batching.buckets.length === 0 ? {} : { preferred_batch_size: batching.buckets }
  const max_queue_delay_microseconds = Math.round(batching.maxDelayMs * 1000)
  return { dynamic_batching: { ...preferred, max_queue_delay_microseconds } }
}

function tensorConfig(info: TensorInfo, { batching }: ServedVersion): object {
  const datatype = datatypeOf(info.dtype)
  const dims = batching === undefined ? shapeOf(info) : shapeOf(info).slice(1)
  return { name: info.name, data_type: datatype && datatypeTable[datatype].config, dims }
}

/** GET …/stats of one version. Clients read the numbers as unsigned integers, so there are no others. */
export function modelStatistics({ name, version, statistics }: ServedVersion): object {
  const { success, fail, queue, input, infer, output, lastInference, ...totals } = statistics.snapshot()
  const none = { count: 0, ns: 0 }
  return {
    name,
    version,
    last_inference: lastInference,
    inference_count: totals.inferences,
    execution_count: totals.executions,
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
    batch_stats: totals.batches.map(batchStatistics),
  }
}

function batchStatistics({ batchSize, input, infer, output }: BatchTotals): object {
  return { batch_size: batchSize, compute_input: input, compute_infer: infer, compute_output: output }
}

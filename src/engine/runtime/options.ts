import { Type, type Static } from 'typebox'

const closed = { additionalProperties: false } as const

/** Options of the CUDA execution provider that may be set (onnxruntime's cuda_provider_options). */
const cudaOptions = Type.Object(
  {
    device_id: Type.Optional(Type.Integer({ minimum: 0, maximum: 63 })),
    gpu_mem_limit: Type.Optional(Type.Integer({ minimum: 0 })),
    arena_extend_strategy: Type.Optional(Type.Enum(['kNextPowerOfTwo', 'kSameAsRequested'])),
    cudnn_conv_algo_search: Type.Optional(Type.Enum(['EXHAUSTIVE', 'HEURISTIC', 'DEFAULT'])),
    enable_cuda_graph: Type.Optional(Type.Boolean()),
    use_tf32: Type.Optional(Type.Boolean()),
  },
  closed,
)

/** Options of the TensorRT execution provider; paths are never among them. */
const tensorrtOptions = Type.Object(
  {
    device_id: Type.Optional(Type.Integer({ minimum: 0, maximum: 63 })),
    trt_fp16_enable: Type.Optional(Type.Boolean()),
    trt_int8_enable: Type.Optional(Type.Boolean()),
    trt_max_workspace_size: Type.Optional(Type.Integer({ minimum: 0 })),
    trt_builder_optimization_level: Type.Optional(Type.Integer({ minimum: 0, maximum: 5 })),
  },
  closed,
)

/** One schema for each execution provider, by its name. */
export const providerSchemas = {
  cpu: Type.Object({ name: Type.Literal('cpu') }, closed),
  cuda: Type.Object({ name: Type.Literal('cuda'), options: Type.Optional(cudaOptions) }, closed),
  tensorrt: Type.Object({ name: Type.Literal('tensorrt'), options: Type.Optional(tensorrtOptions) }, closed),
}

const providerSchema = Type.Union([providerSchemas.cpu, providerSchemas.cuda, providerSchemas.tensorrt])

/**
 * Everything that may reach a session of ONNX Runtime. Closed: an unknown key is an error, and nothing here is a
 * path, a library or free text, so a recipe can't write files or load code. Flushing denormals to zero is left out:
 * ONNX Runtime lets the first session of a process decide, and sets it for good on the thread that loads, so results
 * would depend on which thread runs, and arithmetic of that thread elsewhere would change.
 */
export const sessionOptionsSchema = Type.Object(
  {
    providers: Type.Optional(Type.Array(providerSchema, { minItems: 1, maxItems: 3 })),
    intraOpThreads: Type.Optional(Type.Integer({ minimum: 0, maximum: 1024 })),
    interOpThreads: Type.Optional(Type.Integer({ minimum: 0, maximum: 1024 })),
    optimizationLevel: Type.Optional(Type.Enum(['disabled', 'basic', 'extended', 'all'])),
    executionMode: Type.Optional(Type.Enum(['sequential', 'parallel'])),
    spinning: Type.Optional(Type.Boolean()),
    memoryPattern: Type.Optional(Type.Boolean()),
    cpuMemoryArena: Type.Optional(Type.Boolean()),
    x64QuantPrecision: Type.Optional(Type.Boolean()),
    freeDimensions: Type.Optional(Type.Record(Type.String({ maxLength: 128 }), Type.Integer({ minimum: 1 }))),
    logSeverity: Type.Optional(Type.Integer({ minimum: 0, maximum: 4 })),
  },
  closed,
)

export type SessionOptions = Static<typeof sessionOptionsSchema>
export type ProviderChoice = Static<typeof providerSchema>

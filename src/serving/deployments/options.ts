import { Type, type Static } from 'typebox'
import { Errors } from 'typebox/value'
import { HastenError } from '../../errors.ts'
import type { SessionOptions } from '../../engine/serving.ts'
import type { Batching } from '../scheduler/batch-plan.ts'

const maxBatchLimit = 4096
const batchSize = Type.Integer({ minimum: 1, maximum: maxBatchLimit })
const batchingSchema = Type.Object(
  {
    max_batch: Type.Integer({ minimum: 2, maximum: maxBatchLimit }),
    max_delay_ms: Type.Optional(Type.Number({ minimum: 0, maximum: 60_000 })),
    buckets: Type.Optional(Type.Array(batchSize, { minItems: 1, maxItems: 64 })),
  },
  { additionalProperties: false },
)

/** What a deployment may set for a version. Session options are checked by the runtime, against its own schema. */
const versionOptionsSchema = Type.Object(
  {
    session: Type.Optional(Type.Object({})),
    max_queue: Type.Optional(Type.Integer({ minimum: 0, maximum: 100_000 })),
    max_in_flight: Type.Optional(Type.Integer({ minimum: 1, maximum: 1024 })),
    allow_non_finite: Type.Optional(Type.Boolean()),
    batching: Type.Optional(batchingSchema),
    idle_unload_ms: Type.Optional(Type.Integer({ minimum: 0 })),
    golden_check_ms: Type.Optional(Type.Integer({ minimum: 0 })),
  },
  { additionalProperties: false },
)

/** How a version is loaded and scheduled. */
export interface ResolvedOptions {
  readonly session: SessionOptions
  readonly maxQueue: number
  readonly maxInFlight: number
  /** The probe accepts NaN and infinities. */
  readonly allowNonFinite: boolean
  /** Requests share runs; undefined when each has its own. */
  readonly batching: Batching | undefined
  /** Its memory is freed when nobody has asked for so long; undefined for never. */
  readonly idleUnloadMs: number | undefined
  /** Between two looks whether it still answers as it did; 0 for none, also when it is loaded. */
  readonly goldenCheckMs: number
}

const defaultMaxQueue = 100
const defaultGoldenCheckMs = 60_000

/**
 * The options of a version: what the model was measured with, overlaid by what the deployment says. By default each
 * run has one thread and there are as many runs as cores: that serves the most requests, and spinning threads would
 * take the cores from their neighbours.
 * @throws HastenError `session_option_invalid`
 */
export function resolveOptions(modelSession: object, options: object, cores: number): ResolvedOptions {
  const [wrong] = Errors(versionOptionsSchema, options)
  if (wrong !== undefined) {
    throw new HastenError('session_option_invalid', `options${wrong.instancePath} of the version ${wrong.message}`)
  }
  const given = options as Static<typeof versionOptionsSchema>
  const session: SessionOptions = { intraOpThreads: 1, spinning: false, ...modelSession, ...given.session }
  // 0 lets the runtime take every core.
  const threads = session.intraOpThreads === 0 ? cores : (session.intraOpThreads ?? 1)
  return {
    session,
    maxQueue: given.max_queue ?? defaultMaxQueue,
    maxInFlight: given.max_in_flight ?? Math.max(1, Math.floor(cores / threads)),
    allowNonFinite: given.allow_non_finite ?? false,
    batching: given.batching && resolveBatching(given.batching),
    idleUnloadMs: given.idle_unload_ms,
    goldenCheckMs: given.golden_check_ms ?? defaultGoldenCheckMs,
  }
}

function resolveBatching({ max_batch, max_delay_ms = 0, buckets = [] }: Static<typeof batchingSchema>): Batching {
  const ascending = [...new Set(buckets)].toSorted((a, b) => a - b)
  const largest = ascending.at(-1) ?? max_batch
  if (largest !== max_batch) {
    const detail = `options/batching: the largest bucket is ${largest}, but max_batch is ${max_batch}`
    throw new HastenError('session_option_invalid', detail, { hint: 'Let the largest bucket be max_batch.' })
  }
  return { maxBatch: max_batch, maxDelayMs: max_delay_ms, buckets: ascending }
}

import { Type, type Static } from 'typebox'
import { Errors } from 'typebox/value'
import { HastenError } from '../../errors.ts'
import type { SessionOptions } from '../../engine/serving.ts'

/** What a deployment may set for a version. Session options are checked by the runtime, against its own schema. */
const versionOptionsSchema = Type.Object(
  {
    session: Type.Optional(Type.Object({})),
    max_queue: Type.Optional(Type.Integer({ minimum: 0, maximum: 100_000 })),
    max_in_flight: Type.Optional(Type.Integer({ minimum: 1, maximum: 1024 })),
    allow_non_finite: Type.Optional(Type.Boolean()),
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
}

const defaultMaxQueue = 100

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
  }
}

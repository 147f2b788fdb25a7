import { Type, type Static } from 'typebox'
import { deviceClasses } from '../../jobs/contracts.ts'
import { jobArtifacts, type JobArtifactKind } from '../../jobs/optimize/contract.ts'
import { closed, embeddedErrorSchema, idOf, metadataSchema, nullable, openObject, timestamp } from './common.ts'

export const jobStates = ['queued', 'running', 'canceling', 'succeeded', 'failed', 'canceled', 'expired'] as const
export type JobState = (typeof jobStates)[number]

const terminalStates: ReadonlySet<string> = new Set(['succeeded', 'failed', 'canceled', 'expired'])
export const isTerminal = (state: string): boolean => terminalStates.has(state)

const datasetsSchema = Type.Object(
  {
    calibration: Type.Optional(idOf('dst')),
    eval: Type.Optional(idOf('dst')),
    train: Type.Optional(idOf('dst')),
  },
  closed,
)

export const targetSchema = Type.Object(
  {
    device: Type.Enum([...deviceClasses], { default: 'cpu' }),
    threads: Type.Integer({ minimum: 1, maximum: 256, default: 1, description: 'Threads inside one run.' }),
    batch: Type.Integer({ minimum: 1, maximum: 4096, default: 1, description: 'Samples of one run.' }),
    host: Type.Optional(nullable(idOf('hst', 'Run on this host only.'))),
    labels: Type.Record(Type.String({ pattern: '^.{1,64}$' }), Type.String({ maxLength: 128 }), {
      default: {},
      maxProperties: 16,
      description: 'Labels the host must have.',
    }),
  },
  closed,
)

export const newJobSchema = Type.Object(
  {
    model: idOf('mdl'),
    recipe: Type.Union([Type.String({ minLength: 1, maxLength: 128 }), openObject('A recipe, inline.')], {
      description: 'Name of a built-in or stored recipe, its id, or the recipe itself.',
    }),
    datasets: Type.Optional(datasetsSchema),
    target: Type.Optional(Type.Partial(targetSchema, closed)),
    gates: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 200 }), {
        maxItems: 32,
        examples: [['top1 >= baseline - 0.005', 'p50 <= 0.8 * baseline', 'size <= 10MB']],
      }),
    ),
    deadline: Type.Optional(nullable(Type.String({ maxLength: 32, examples: ['30m', '1h30m', '90s'] }))),
    metadata: Type.Optional(metadataSchema),
    webhook: Type.Optional(nullable(idOf('whk', 'A webhook that hears of this job whatever it subscribed to.'))),
  },
  closed,
)
export type NewJobBody = Static<typeof newJobSchema>

const attemptSchema = Type.Object(
  {
    n: Type.Integer(),
    state: Type.String(),
    reason: nullable(Type.String()),
    host: nullable(Type.String()),
    started_at: timestamp,
    ended_at: nullable(timestamp),
  },
  closed,
)

const stageSchema = Type.Object(
  {
    name: Type.String(),
    attempt: Type.Integer(),
    state: Type.String(),
    started_at: nullable(timestamp),
    ended_at: nullable(timestamp),
  },
  closed,
)

const progressSchema = Type.Object({ done: Type.Number(), total: nullable(Type.Number()), unit: Type.String() }, closed)

const placementSchema = Type.Object(
  { requested: targetSchema, actual: nullable(openObject('Host, device, provider, versions; null until it runs.')) },
  closed,
)

const candidateSchema = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    role: Type.String({ description: 'baseline, candidate or chosen' }),
    model: nullable(Type.String()),
    options: openObject('What this variant was made with.'),
    measurement: openObject('Latencies, throughput, memory, size.'),
    quality: openObject('Metrics against labels or against the original.'),
  },
  closed,
)

export const artifactKindSchema = Type.Enum(Object.keys(jobArtifacts) as JobArtifactKind[], {
  description:
    'trials: every model that was tried, with its speed and loss. sensitivity: layers ranked by what int8 costs. ' +
    'forecast: what the oracle expected, beside what was measured. ' +
    'training: losses, metric and rate by epoch of each step that trained, and what was trained. ' +
    'explanation: what became of each node, and what the runtime makes of the result.',
})

const artifactSchema = Type.Object(
  {
    kind: artifactKindSchema,
    size_bytes: Type.Integer({ minimum: 0 }),
    sha256: Type.String(),
    href: Type.String(),
  },
  closed,
)

export const jobSchema = Type.Object(
  {
    id: idOf('job'),
    object: Type.Literal('job'),
    project: Type.String(),
    model: idOf('mdl'),
    recipe: openObject('What runs, resolved at creation.'),
    datasets: datasetsSchema,
    gates: Type.Array(Type.String()),
    state: Type.Enum([...jobStates]),
    stage: nullable(Type.String()),
    stages: Type.Array(stageSchema),
    progress: nullable(progressSchema),
    queue: Type.String(),
    queue_position: nullable(Type.Integer({ minimum: 1 })),
    estimated_finish: nullable(timestamp),
    attempts: Type.Array(attemptSchema),
    placement: placementSchema,
    verdict: nullable(openObject('Whether a better model was found, why or why not, by how much, and each gate.')),
    result: nullable(
      Type.Object(
        { model: idOf('mdl', 'The fastest model that passes the gates: the original where nothing is better.') },
        closed,
      ),
    ),
    candidates: Type.Array(candidateSchema),
    artifacts: Type.Array(artifactSchema, { description: 'What the job keeps besides its result, once it succeeded.' }),
    error: nullable(embeddedErrorSchema),
    warnings: Type.Array(openObject('A code and a hint.')),
    metadata: metadataSchema,
    webhook: nullable(Type.String()),
    retry_of: nullable(idOf('job')),
    deadline_at: nullable(timestamp),
    created_at: timestamp,
    started_at: nullable(timestamp),
    finished_at: nullable(timestamp),
    links: Type.Object({ self: Type.String(), events: Type.String(), report: Type.String() }, closed),
  },
  closed,
)
export type JobResource = Static<typeof jobSchema>

export const eventSchema = Type.Object(
  {
    seq: Type.Integer({ minimum: 1 }),
    type: Type.String({ description: 'job.state, job.stage, job.progress, job.metric, job.log or job.verdict.' }),
    data: openObject(
      'What happened. job.progress: stage, done, total, unit. job.metric, while a step trains: step and steps (updates), epoch and ' +
        'epochs, loss, learning_rate, eta_ms; at the end of an epoch validation_loss, metric and metric_name, where they are known.',
    ),
    created_at: timestamp,
  },
  closed,
)

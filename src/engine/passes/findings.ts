import { Type, type Static } from 'typebox'
import type { TrainingRecord } from './training-findings.ts'

// What passes and jobs find out besides notes, as it is stored and answered: field names are those of the API.

const closed = { additionalProperties: false } as const
const maybe = <T extends ReturnType<typeof Type.Number>>(schema: T) => Type.Union([schema, Type.Null()])
const count = Type.Integer({ minimum: 0 })

const layerSchema = Type.Object(
  {
    rank: Type.Integer({ minimum: 1, description: 'The most sensitive is 1.' }),
    node: Type.String(),
    op: Type.String(),
    loss_without: maybe(Type.Number({ description: 'Loss with this layer alone in float; null when not finite.' })),
    relief: maybe(Type.Number({ description: 'How much of the loss goes away with it; negative where it got worse.' })),
    saves_us: maybe(Type.Number({ description: 'Microseconds that int8 saves by the oracle; null where not known.' })),
    kept: Type.Enum(['int8', 'float'], { description: 'What the search settled on.' }),
  },
  closed,
)

/** Layers ranked by what quantizing each costs: measured by taking back one at a time. */
export const sensitivitySchema = Type.Object(
  {
    metric: Type.String({ description: 'What a loss is: `top-1 lost` or `1 − cosine`.' }),
    budget: Type.Number({ description: 'The loss that was allowed.' }),
    loss: maybe(Type.Number({ description: 'With every layer in int8.' })),
    settled_loss: maybe(Type.Number({ description: 'With the layers kept in float that the search settled on.' })),
    untried: Type.Array(Type.String(), { description: 'Layers beyond `maxNodes`, kept in float unmeasured.' }),
    layers: Type.Array(layerSchema, { description: 'The most sensitive first.' }),
  },
  closed,
)
export type SensitivityReport = Static<typeof sensitivitySchema>

/** One variant that a search made and judged. */
export interface SearchTrial {
  readonly name: string
  /** Null when there was nothing to judge, or the loss is not finite. */
  readonly loss: number | null
  readonly within_budget: boolean
  /** Times as fast as the model before the step, in a short race; null when it was not timed. */
  readonly speedup: number | null
  readonly ci95: readonly [number, number] | null
  /** What it is, or why it was not tried. */
  readonly detail: string
}

/** What a search over variants saw. */
interface SearchFindings {
  readonly metric: string
  readonly budget: number
  readonly trials: readonly SearchTrial[]
}

const trialSchema = Type.Object(
  {
    name: Type.String(),
    measured_by: Type.Enum(['job', 'search'], {
      description:
        'job: against the original, interleaved, on the evaluation data. search: in a short race against the model ' +
        'before the step, on the calibration data.',
    }),
    speedup: maybe(Type.Number()),
    ci95: Type.Union([Type.Tuple([Type.Number(), Type.Number()]), Type.Null()]),
    loss: maybe(Type.Number({ description: 'Top-1 lost where there are labels, else 1 − cosine.' })),
    size_ratio: maybe(Type.Number({ description: 'New size / old size.' })),
    passes: Type.Boolean({ description: 'Every gate of the job, or the budget of the search.' }),
    pareto: Type.Boolean({ description: 'No other trial is as fast with less loss, or faster with as little.' }),
    chosen: Type.Boolean({ description: 'It is the result of the job.' }),
    detail: Type.String(),
  },
  closed,
)

/** Every model a job tried, the original among them, the fastest first. */
export const trialsSchema = Type.Object({ trials: Type.Array(trialSchema) }, closed)
export type TrialsReport = Static<typeof trialsSchema>

/** Why a node was left as it is. */
const noteCauses = ['slower', 'excluded', 'sensitive', 'not_constant', 'unsupported'] as const
export type NoteCause = (typeof noteCauses)[number]

const formSchema = Type.Object(
  {
    kind: Type.Enum(['qdq', 'dynamic', 'blocks', 'half', 'float'], {
      description:
        'Static int8, int8 with ranges at run time, packed weights in blocks, 16-bit floats, or 32-bit ones.',
    }),
    activations: Type.Union([Type.String(), Type.Null()]),
    weights: Type.Union([Type.String(), Type.Null()]),
    per_channel: Type.Union([Type.Boolean(), Type.Null()]),
  },
  closed,
)
export type NodeForm = Static<typeof formSchema>

const explainedNodeSchema = Type.Object(
  {
    pass: Type.String(),
    node: Type.String(),
    op: Type.String(),
    outcome: Type.Enum(['changed', 'left']),
    cause: Type.Union([Type.Enum([...noteCauses]), Type.Null()], {
      description:
        'Why it was left: slower by the oracle, excluded by the options, too sensitive, no constant weight, no kernel.',
    }),
    reason: Type.String(),
    form: Type.Union([formSchema, Type.Null()], {
      description: 'How it computes in the result; null when it is gone.',
    }),
  },
  closed,
)

const runtimeNodeSchema = Type.Object({ op: Type.String(), node: Type.String() }, closed)
const countedSchema = Type.Record(Type.String(), count)

const runtimeSideSchema = Type.Object(
  { nodes: count, integer: count, float_layers: count, conversions: count, fused: countedSchema },
  closed,
)

const conversionSchema = Type.Object(
  {
    op: Type.String(),
    node: Type.String(),
    from: Type.String({ description: 'The node that makes what is converted, or the input.' }),
    to: Type.Array(Type.String(), { description: 'The nodes that read the result.' }),
  },
  closed,
)

/** What became of each node that a quantizing pass considered, and what the runtime makes of the result. */
export const explanationSchema = Type.Object(
  {
    nodes: Type.Array(explainedNodeSchema),
    omitted: Type.Integer({ minimum: 0, description: 'Nodes beyond those listed.' }),
    runtime: Type.Union([
      Type.Object(
        {
          before: runtimeSideSchema,
          after: runtimeSideSchema,
          conversions: Type.Array(conversionSchema, { description: 'Q/DQ that ONNX Runtime runs.' }),
          float_layers: Type.Array(runtimeNodeSchema, { description: 'Convolutions and products it runs in float.' }),
          gained: countedSchema,
          lost: countedSchema,
        },
        {
          ...closed,
          description: 'The graph as ONNX Runtime runs it on this host, of the original and of the result.',
        },
      ),
      Type.Null(),
    ]),
  },
  closed,
)
export type ExplanationReport = Static<typeof explanationSchema>

const forecastStepSchema = Type.Object(
  {
    pass: Type.String(),
    form: Type.String({
      description: 'How layers will compute: static int8 by types of activations and weights, or dynamic.',
    }),
    layers: Type.Integer({ minimum: 0, description: 'Layers the step is expected to change.' }),
    unknown: Type.Integer({ minimum: 0, description: 'Convolutions and products nobody measured.' }),
    float_us: Type.Number({ description: 'Of those layers in float, one run.' }),
    form_us: Type.Number({ description: 'Of those layers in the form.' }),
    conversions_us: Type.Object(
      { low: Type.Number(), high: Type.Number() },
      { ...closed, description: 'Q/DQ at the edges: if what lies between layers follows in integers, and if not.' },
    ),
    model_us: Type.Number({ description: 'The whole model before the step, as timed in a short run.' }),
    speedup: Type.Object(
      { estimate: Type.Number(), low: Type.Number(), high: Type.Number() },
      {
        ...closed,
        description: 'Of the whole model; the bounds are what the known uncertainties allow, no confidence interval.',
      },
    ),
  },
  closed,
)
export type StepForecast = Static<typeof forecastStepSchema>

/** What was expected of each quantizing step before it ran, beside what was measured of the recipe's result. */
export const forecastSchema = Type.Object(
  {
    steps: Type.Array(forecastStepSchema),
    measured: Type.Object(
      { speedup: Type.Number(), ci95: Type.Tuple([Type.Number(), Type.Number()]) },
      { ...closed, description: 'Of the whole recipe against the original.' },
    ),
  },
  closed,
)

/** What a step found besides notes. */
export interface PassFindings {
  readonly sensitivity?: SensitivityReport
  readonly search?: SearchFindings
  readonly training?: TrainingRecord
}

/** JSON has no infinity. */
export function finiteOrNull(value: number): number | null {
  return Number.isFinite(value) ? value : null
}

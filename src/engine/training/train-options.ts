import type { Dataset } from '../data/index.ts'
import type { Node } from '../ir/graph.ts'
import type { Model } from '../ir/model.ts'
import type { Tensor } from '../ir/tensor.ts'
import type { SessionOptions } from '../runtime/options.ts'
import type { Runtime } from '../runtime/port.ts'
import type { EpochRecord, Resume } from './checkpoint.ts'
import type { MetricName } from './metrics.ts'
import type { LossOptions, OptimizerOptions, ScheduleOptions } from './options.ts'
import type { Parameter, ParameterSelection } from './parameters.ts'
import type { TeacherOptions } from './teacher.ts'

export interface TrainOptions {
  readonly model: Model
  readonly runtime: Runtime
  /** One thread makes curves repeat to the bit. */
  readonly session?: SessionOptions
  /** Samples by the names of the model's inputs, with labels where the loss compares with them. */
  readonly dataset: Dataset
  /** Samples to judge by; a share of `dataset` is held back when absent. */
  readonly validation?: Dataset
  /** Share of `dataset` that is held back, 0 for none; 0.1 by default. */
  readonly validationShare?: number
  /** Name of the output to train; needed where the model has several. */
  readonly output?: string
  readonly loss: LossOptions
  readonly optimizer: OptimizerOptions
  readonly learningRate: number
  /** Constant by default. */
  readonly schedule?: ScheduleOptions
  /** Largest global norm of a gradient. */
  readonly clipNorm?: number
  /** Decay of a moving average of the parameters, which is then what is judged and returned. */
  readonly ema?: number
  readonly parameters?: ParameterSelection
  /** 0 and 1 by parameter name: what is 0 is exactly 0 from the first update on. */
  readonly masks?: ReadonlyMap<string, Tensor>
  readonly teacher?: TeacherOptions
  /** Nodes through which no gradient flows. */
  readonly freeze?: (node: Node) => boolean
  /** Samples of one run, 32 by default; a model with a fixed batch takes that. */
  readonly batch?: number
  /** Runs whose gradients make one update, 1 by default. */
  readonly accumulate?: number
  readonly epochs: number
  /** Updates after which training ends, whatever the epochs. */
  readonly maxSteps?: number
  /** Epochs without improvement after which training ends. Needs validation. */
  readonly patience?: number
  /** Decides the split and the order of samples; 0 by default. */
  readonly seed?: number
  /** Datasets up to this size are held in memory. */
  readonly memoryBytes?: number
  readonly signal?: AbortSignal
  readonly onEvent?: (event: TrainEvent) => void
  /** Receives what training can go on from: after each epoch, and every `checkpointEvery` updates. */
  readonly onCheckpoint?: (bytes: Uint8Array) => void | Promise<void>
  readonly checkpointEvery?: number
  /**
   * Milliseconds between two checkpoints, which then come after any update instead of after each epoch; more where taking
   * and keeping one takes long.
   */
  readonly checkpointMs?: number
  /** Bytes that `onCheckpoint` received. */
  readonly resume?: Uint8Array
}

/** One update, or the end of an epoch (with `validationLoss`). */
export interface TrainEvent {
  /** Updates so far, and of the whole training. */
  readonly step: number
  readonly steps: number
  /** The epoch of the update, from 1, and how many there are to be. */
  readonly epoch: number
  readonly epochs: number
  /** Of the batch; at the end of an epoch the epoch's mean. */
  readonly loss: number
  readonly learningRate: number
  readonly validationLoss?: number
  readonly metric?: number
  /** What `metric` is. */
  readonly metricName?: MetricName | undefined
  readonly etaMs: number
}

export interface TrainResult {
  /** The model as given, its weights all initializers, with the best parameters. */
  readonly model: Model
  readonly parameters: readonly Parameter[]
  /** Samples that were trained on, and those that were judged by. */
  readonly samples: { readonly training: number; readonly validation: number }
  /** Samples of one run. */
  readonly batch: number
  readonly history: readonly EpochRecord[]
  /** Loss of every update. */
  readonly losses: readonly number[]
  /** Each time another process went on from a checkpoint. */
  readonly resumes: readonly Resume[]
  /** What `metric` in the history is; undefined where there is only the loss. */
  readonly metric: MetricName | undefined
  /** The epoch that the parameters are of: the best by validation, else the last. */
  readonly best: EpochRecord
  readonly stopped: 'epochs' | 'steps' | 'patience'
  readonly notes: readonly string[]
}

import type { Model } from '../../ir/model.ts'
import type { TrainEvent } from '../../training/index.ts'

/** Where the state of one training is kept, so that another process can go on with it. */
export interface CheckpointStore {
  /** The newest one under a key; undefined when there is none. */
  find(key: string): Promise<Uint8Array | undefined>
  /** Takes the place of the one before it. */
  put(key: string, bytes: Uint8Array): Promise<void>
  /** Milliseconds between two of them. */
  readonly everyMs: number
}

/** What training passes need of whoever runs the recipe. */
export interface TrainingHooks {
  /** `original`, the model as the recipe was given it, or a model that a step names by its id. */
  readonly loadModel: (name: string) => Promise<Model>
  readonly checkpoints?: CheckpointStore | undefined
  readonly onEvent?: ((event: TrainEvent) => void) | undefined
}

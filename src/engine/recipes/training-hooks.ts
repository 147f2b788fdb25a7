import { HastenError } from '../../errors.ts'
import { loadModel } from '../onnx/index.ts'
import { originalTeacher } from '../passes/train/learn.ts'
import type { TrainingHooks } from '../passes/train/hooks.ts'
import type { RecipeOptions } from './run.ts'

type Given = Pick<RecipeOptions, 'model' | 'models' | 'checkpoints' | 'onTraining'>

/** What a training step of a recipe gets: other models, and a place of its own for checkpoints. */
export function trainingHooks({ model, models, checkpoints, onTraining }: Given, step: number): TrainingHooks {
  return {
    async loadModel(name) {
      const file = name === originalTeacher ? model : models?.get(name)
      if (file === undefined) throw new HastenError('not_found', `There is no model ${name} to learn from.`)
      return loadModel(file)
    },
    onEvent: onTraining,
    checkpoints: checkpoints && {
      everyMs: checkpoints.everyMs,
      find: async (key) => checkpoints.find(`${step}-${key}`),
      put: async (key, bytes) => checkpoints.put(`${step}-${key}`, bytes),
    },
  }
}

import { definePass } from './pass.ts'
import { learnFromTeachers } from './train/learn.ts'

/**
 * Trains a model, usually one that earlier steps made smaller, to answer like its teachers (Hinton, Vinyals and Dean,
 * Distilling the Knowledge in a Neural Network, 2015). Without labels the original teaches its own compressed self.
 */
export const distillPass = definePass({
  name: 'distill',
  stage: 'train',
  version: 2,
  async run(model, { teachers, alpha, temperature, features, ...options }, context) {
    return learnFromTeachers(model, options, { teachers, alpha, temperature, features }, context)
  },
})

import { definePass } from './pass.ts'
import { learnFromTeachers, learnLabels, originalTeacher } from './train/learn.ts'

/** Trains a model, compressed or not, on the job's labelled samples; without labels, on what the original says to them. */
export const finetunePass = definePass({
  name: 'finetune',
  stage: 'train',
  version: 2,
  async run(model, { withoutLabels, temperature, ...options }, context) {
    const hasLabels = context.train !== undefined && context.train.schema.labels !== null
    if (hasLabels || withoutLabels === 'refuse') return learnLabels(model, options, context)
    return learnFromTeachers(
      model,
      options,
      { teachers: [originalTeacher], alpha: 0, temperature, features: [] },
      context,
    )
  },
})

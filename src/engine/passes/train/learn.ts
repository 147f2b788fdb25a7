import { HastenError } from '../../../errors.ts'
import type { Dataset } from '../../data/index.ts'
import type { Model } from '../../ir/model.ts'
import type { FeatureMatch, TeacherOptions } from '../../training/index.ts'
import type { Note, PassContext, PassResult } from '../pass.ts'
import { describeTraining, isTrained } from './describe-training.ts'
import { runTraining, type Trained, type TrainingOptions } from './run-training.ts'
import { recordTraining } from './training-record.ts'

/** What a model learns from. */
export interface Lesson {
  readonly teachers: readonly string[]
  readonly alpha: number
  readonly temperature: number
  readonly features: readonly FeatureMatch[]
}

export const originalTeacher = 'original'

/** Learns from labels. */
export async function learnLabels(model: Model, options: TrainingOptions, context: PassContext): Promise<PassResult> {
  const dataset = labelledData(context)
  return toResult(model, options, await runTraining(model, options, { dataset }, context))
}

/** Learns from teachers, and from labels as far as `alpha` says. */
export async function learnFromTeachers(
  model: Model,
  options: TrainingOptions,
  lesson: Lesson,
  context: PassContext,
): Promise<PassResult> {
  const dataset = lesson.alpha > 0 ? labelledData(context) : anyData(context)
  const teacher = await openLesson(lesson, context)
  const trained = await runTraining(model, options, { dataset, teacher }, context)
  return toResult(model, options, trained, lesson)
}

/** Loads the teachers of a lesson. */
export async function openLesson({ teachers, ...lesson }: Lesson, { training }: PassContext): Promise<TeacherOptions> {
  const models: Model[] = []
  for (const name of teachers) {
    if (training === undefined) throw new HastenError('internal', 'there is nobody to load teachers')
    models.push(await training.loadModel(name))
  }
  return { models, ...lesson }
}

function toResult(model: Model, options: TrainingOptions, trained: Trained, lesson?: Lesson): PassResult {
  const modified = isTrained(trained)
  const notes = describeTraining(trained)
  const taught: readonly Note[] = lesson === undefined ? [] : [{ action: 'info', reason: describeLesson(lesson) }]
  const findings = { training: recordTraining(trained, options, lesson) }
  return { model: modified ? trained.model : model, modified, notes: [...notes, ...taught], findings }
}

function describeLesson({ teachers, alpha, temperature, features }: Lesson): string {
  const labels = alpha === 0 ? 'no labels were used' : `labels weigh ${alpha}`
  const matched = features.length === 0 ? '' : `; ${features.length} values inside were matched`
  return `learned from ${teachers.join(', ')} at temperature ${temperature}; ${labels}${matched}`
}

/** @throws HastenError `dataset_needed` */
export function labelledData({ train }: Pick<PassContext, 'train'>): Dataset {
  if (train === undefined) throw new HastenError('dataset_needed', 'there is no train dataset to learn from')
  if (train.schema.labels !== null) return train
  throw new HastenError('dataset_needed', 'the train dataset has no labels to learn from', {
    hint: 'Upload an .npz with an array `labels`, or learn from a teacher, which needs none: distill with alpha 0, or finetune with withoutLabels: distill.',
  })
}

/** The train dataset, else the one for calibration: a teacher says what belongs to its samples. */
export function anyData({ train, calibration }: Pick<PassContext, 'train' | 'calibration'>): Dataset {
  const dataset = train ?? calibration
  if (dataset !== undefined) return dataset
  throw new HastenError('dataset_needed', 'there is neither a train nor a calibration dataset to learn from')
}

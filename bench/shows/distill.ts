import path from 'node:path'
import { saveModel } from '../../src/engine/index.ts'
import type { BenchResult } from '../result.ts'
import { estimateMean } from '../stats.ts'
import { fashionCnn } from './cnn.ts'
import { writeFashion } from './fashion.ts'
import type { Step } from './lab.ts'
import { forEachSeed, training } from './teacher.ts'

/** An id as the API gives models. */
const teacherId = `mdl_${'0'.repeat(26)}`
const widths = [8, 16, 16] as const

/** Of those that the teacher learned from: where labels are few, what a teacher says beside them counts most. */
const samples = 3000

/** Of three, each gained, but by 0.4 to 2.0 points: too far apart for a narrow interval. */
const seeds = 8

/** The same small net, from the same weights on the same samples as often: by labels alone, and by a teacher too. */
export async function run(): Promise<BenchResult> {
  const found = await forEachSeed(async (lab, { seed, data, teacher }) => {
    const model = path.join(lab.folder, `student-${seed}.onnx`)
    await saveModel(fashionCnn(widths, 100 + seed), model)
    const few = await writeFashion(path.join(lab.folder, `few-${seed}`), samples, seed)
    const options = training(seed, 20, 0.003)
    const learn = async (step: Step) => {
      const models = new Map([[teacherId, teacher]])
      return lab.score(await lab.make({ model, steps: [step], train: few.labelled, models }), data.test)
    }
    return {
      teacher: await lab.score(teacher, data.test),
      labels: await learn({ pass: 'finetune', options }),
      taught: await learn({ pass: 'distill', options: { ...options, teachers: [teacherId], alpha: 0.3 } }),
    }
  }, seeds)
  const gained = estimateMean(found.map(({ taught, labels }) => taught - labels))
  return {
    name: 'shows-distill',
    method: `a CNN of ${widths.join('-')} channels, ${samples} samples, with and without a teacher of 48-96-128; ${found.length} seeds`,
    figures: [
      { name: 'teacher', unit: '% top-1', ...estimateMean(found.map(({ teacher }) => teacher)) },
      { name: 'student, labels alone', unit: '% top-1', ...estimateMean(found.map(({ labels }) => labels)) },
      { name: 'student, distilled', unit: '% top-1', ...estimateMean(found.map(({ taught }) => taught)) },
      { name: 'gained by distilling', unit: 'points top-1', ...gained },
    ],
    targets: [{ text: 'the distilled student beats the one trained on labels alone', met: gained.ci95[0] > 0 }],
  }
}

import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { copyFile, mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { encodeModel, saveModel } from '../../src/engine/index.ts'
import { fashionCnn } from './cnn.ts'
import { writeFashion, type Fashion } from './fashion.ts'
import { openLab, type Lab, type Step } from './lab.ts'

const fewestSeeds = 3
const samples = 24_000
const widths = [48, 96, 128] as const
const batch = 64

/** What one seed's experiments start from: a seed decides the samples, the first weights, and the order of training. */
interface Subject {
  readonly seed: number
  readonly data: Fashion
  /** A net trained on the labels. */
  readonly teacher: string
}

/** How all nets of the shows are trained. */
export function training(seed: number, epochs: number, learningRate: number) {
  return { seed, epochs, batch, learningRate }
}

/**
 * Trains the net, or takes the one that an earlier show trained of the same weights, samples and settings. After a change
 * of the trainer, remove `hasten-bench-shows` from the folder for temporary files.
 */
async function prepareSubject(lab: Lab, seed: number): Promise<Subject> {
  const data = await writeFashion(path.join(lab.folder, `data-${seed}`), samples, seed)
  const untrained = fashionCnn(widths, seed)
  const step: Step = { pass: 'finetune', options: training(seed, 6, 0.002) }
  const key = createHash('sha256')
    .update(encodeModel(untrained))
    .update(JSON.stringify([step, samples]))
    .digest('hex')
  const kept = path.join(tmpdir(), 'hasten-bench-shows', `${key}.onnx`)
  if (existsSync(kept)) return { seed, data, teacher: kept }
  const model = path.join(lab.folder, `untrained-${seed}.onnx`)
  await saveModel(untrained, model)
  const trained = await lab.make({ model, train: data.labelled, steps: [step] })
  await mkdir(path.dirname(kept), { recursive: true })
  await copyFile(trained, kept)
  return { seed, data, teacher: kept }
}

/** Runs an experiment once a seed: with 1, 2, … `seeds`. */
export async function forEachSeed<T>(
  experiment: (lab: Lab, subject: Subject) => Promise<T>,
  seeds = fewestSeeds,
): Promise<T[]> {
  const lab = await openLab()
  try {
    const found: T[] = []
    for (let seed = 1; seed <= seeds; seed += 1) {
      const result = await experiment(lab, await prepareSubject(lab, seed))
      process.stdout.write(`seed ${seed}: ${JSON.stringify(result)}\n`)
      found.push(result)
    }
    return found
  } finally {
    await lab.close()
  }
}

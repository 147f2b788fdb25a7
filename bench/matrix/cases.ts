import path from 'node:path'
import type { Random } from '../../src/engine/data/random.ts'
import { tensorOf, writeNpz } from '../../src/engine/index.ts'
import { fixtureModels } from '../../test/support/fixture-models.ts'
import { ocrModels } from '../../test/support/models.ts'
import { linePicture, pagePicture, paintAll, type Picture } from './text-images.ts'

/** A model, data to calibrate with, and other data of the same kind to judge and time on. */
export interface MatrixCase {
  readonly name: string
  readonly model: string
  readonly calibration: string
  readonly evaluation: string
  /** What agreement is for its output. */
  readonly metric: 'agreement' | 'cosine'
  /** What a result has to reach to count at all. */
  readonly floor: number
}

const halves = { mean: [0.5, 0.5, 0.5], deviation: [0.5, 0.5, 0.5] }
const imageNet = { mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] }

interface Pictures {
  readonly dims: readonly [height: number, width: number]
  readonly calibration: number
  readonly evaluation: number
  readonly draw: (random: Random, index: number) => Picture
  readonly scale: typeof halves
  readonly metric: MatrixCase['metric']
  readonly floor: number
}

const pictures: Readonly<Record<keyof typeof ocrModels, Pictures>> = {
  rec: {
    dims: [48, 320],
    calibration: 48,
    evaluation: 96,
    draw: (random) => linePicture(random, 48, 320),
    scale: halves,
    metric: 'agreement',
    floor: 0.97,
  },
  // Its output is a map of probabilities, not of classes.
  det: {
    dims: [320, 320],
    calibration: 24,
    evaluation: 32,
    draw: (random) => pagePicture(random, 320, 320),
    scale: imageNet,
    metric: 'cosine',
    floor: 0.97,
  },
  cls: {
    dims: [48, 192],
    calibration: 64,
    evaluation: 256,
    draw: (random, index) => linePicture(random, 48, 192, index % 2 === 1),
    scale: halves,
    metric: 'agreement',
    floor: 0.97,
  },
}

/** The six models; pictures for PP-OCR are painted into `folder`. */
export async function prepareCases(folder: string): Promise<MatrixCase[]> {
  const digits = path.resolve(import.meta.dirname, '../../examples/digits')
  const shared = { metric: 'agreement', floor: 0.97 } as const
  return [
    await paintCase(folder, 'rec'),
    await paintCase(folder, 'det'),
    await paintCase(folder, 'cls'),
    {
      name: 'digits CNN',
      model: path.join(digits, 'digits.onnx'),
      calibration: path.join(digits, 'calibration.npz'),
      evaluation: path.join(digits, 'evaluation.npz'),
      ...shared,
    },
    { name: 'transformer', ...fixtureModels.transformer, ...shared },
    { name: 'LSTM', ...fixtureModels.lstm, ...shared },
  ]
}

export async function paintCase(folder: string, name: keyof typeof ocrModels): Promise<MatrixCase> {
  const { calibration, evaluation, metric, floor } = pictures[name]
  return {
    name: `PP-OCR ${name}`,
    model: ocrModels[name],
    calibration: await paintSamples(path.join(folder, `${name}.calibration.npz`), name, calibration, 1),
    evaluation: await paintSamples(path.join(folder, `${name}.evaluation.npz`), name, evaluation, 2),
    metric,
    floor,
  }
}

/** Pictures as a model gets them, without labels; other seeds give others. Writes an .npz and gives its path. */
export async function paintSamples(
  file: string,
  name: keyof typeof ocrModels,
  count: number,
  seed: number,
): Promise<string> {
  const { dims, draw, scale } = pictures[name]
  await writeNpz(file, { x: tensorOf('float32', [count, 3, ...dims], paintAll(count, seed, draw, scale)) })
  return file
}

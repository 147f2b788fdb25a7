import { join } from 'node:path'
import { openDataset, writeNpz, type Tensor } from '../../src/engine/index.ts'

export const digitsFolder = join(import.meta.dirname, '../../examples/digits')

/** Writes images and labels of the digits as datasets of their own: to train on, to judge by, and without labels. */
export async function splitDigits(folder: string): Promise<{ train: string; held: string; unlabelled: string }> {
  const dataset = await openDataset(join(digitsFolder, 'evaluation.npz'))
  const files = {
    train: join(folder, 'train.npz'),
    held: join(folder, 'held.npz'),
    unlabelled: join(folder, 'unlabelled.npz'),
  }
  try {
    const part = async (start: number, count: number) => {
      const [{ image }, labels] = await Promise.all([dataset.read(start, count), dataset.labels(start, count)])
      return { image: image as Tensor, labels: labels as Tensor }
    }
    const train = await part(0, 160)
    await writeNpz(files.train, train)
    await writeNpz(files.held, await part(600, 200))
    await writeNpz(files.unlabelled, { image: train.image })
    return files
  } finally {
    await dataset.close()
  }
}

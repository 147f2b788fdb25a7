import { existsSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'
import { tensorOf, writeNpz } from '../../src/engine/index.ts'
import { createRandom, sampleInteger } from '../../src/engine/data/random.ts'

const folder = process.env['FASHION_MNIST_DIR'] ?? '/usr/share/datasets/fashion-mnist'

/** Length of the heads of idx files: magic number and sizes. */
const head = { images: 16, labels: 8 } as const
const pixels = 28 * 28

/** Mean and deviation of the training images' pixels, 0 to 1. */
const normal = { mean: 0.286, deviation: 0.353 } as const

/** Fashion-MNIST as .npz files. */
export interface Fashion {
  /** Training images with labels. */
  readonly labelled: string
  /** The same images without. */
  readonly unlabelled: string
  /** All 10,000 test images, with labels. */
  readonly test: string
}

/**
 * Writes `count` training images, drawn by `seed`, and the test images to a folder.
 * @throws Error that says how to get the data, where it is not there
 */
export async function writeFashion(to: string, count: number, seed: number): Promise<Fashion> {
  if (!existsSync(path.join(folder, 'train-images-idx3-ubyte.gz'))) throw new Error(howToGet)
  await mkdir(to, { recursive: true })
  const [train, test] = [await readPart('train'), await readPart('t10k')]
  const drawn = draw(train.labels.length, count, seed)
  const all = Array.from({ length: test.labels.length }, (_, index) => index)
  const { image, labels } = gather(train, drawn)
  const file = (name: string) => path.join(to, `${name}.npz`)
  await writeNpz(file('labelled'), { image, labels }, { compress: false })
  await writeNpz(file('unlabelled'), { image }, { compress: false })
  await writeNpz(file('test'), gather(test, all), { compress: false })
  return { labelled: file('labelled'), unlabelled: file('unlabelled'), test: file('test') }
}

const howToGet =
  `Fashion-MNIST is not in ${folder}: install Debian's package dataset-fashion-mnist, or set FASHION_MNIST_DIR to a folder ` +
  'with its four files, such as train-images-idx3-ubyte.gz.'

interface Part {
  readonly images: Uint8Array
  readonly labels: Uint8Array
}

async function readPart(name: 'train' | 't10k'): Promise<Part> {
  const read = async (file: string) => gunzipSync(await readFile(path.join(folder, `${name}-${file}.gz`)))
  const [images, labels] = [await read('images-idx3-ubyte'), await read('labels-idx1-ubyte')]
  return { images: images.subarray(head.images), labels: labels.subarray(head.labels) }
}

/** So many of the numbers below `total`, each at most once (Fisher and Yates). */
function draw(total: number, count: number, seed: number): number[] {
  const random = createRandom(seed)
  const order = Array.from({ length: total }, (_, index) => index)
  for (let at = 0; at < count; at += 1) {
    const other = at + sampleInteger(random, total - at)
    ;[order[at], order[other]] = [order[other] as number, order[at] as number]
  }
  return order.slice(0, count)
}

function gather({ images, labels }: Part, indices: readonly number[]) {
  const values = new Float32Array(indices.length * pixels)
  for (const [at, index] of indices.entries()) {
    const from = images.subarray(index * pixels, (index + 1) * pixels)
    from.forEach((value, offset) => {
      values[at * pixels + offset] = (value / 255 - normal.mean) / normal.deviation
    })
  }
  const classes = BigInt64Array.from(indices, (index) => BigInt(labels[index] ?? 0))
  return {
    image: tensorOf('float32', [indices.length, 1, 28, 28], values),
    labels: tensorOf('int64', [indices.length], classes),
  }
}

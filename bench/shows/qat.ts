import type { BenchResult } from '../result.ts'
import { estimateMean } from '../stats.ts'
import type { Step } from './lab.ts'
import { forEachSeed, training } from './teacher.ts'

const wanted = 0.5

/** Weights of 4 bits, one scale a tensor. */
const scheme = { weights: 'int4', perChannel: false } as const

/**
 * A net in 4 bits, quantized after training and trained quantized. It learns from the float net, not from labels: what it
 * gains is then what rounding took, and nothing that the float net could have learned too.
 */
export async function run(): Promise<BenchResult> {
  const found = await forEachSeed(async (lab, { seed, data, teacher }) => {
    const make = async (steps: Step[]) => {
      return lab.score(await lab.make({ model: teacher, steps, calibration: data.unlabelled }), data.test)
    }
    return {
      float: await lab.score(teacher, data.test),
      post: await make([{ pass: 'quantize.static', options: scheme }]),
      aware: await make([{ pass: 'qat', options: { ...training(seed, 1, 0.0003), ...scheme, learnFrom: 'original' } }]),
    }
  })
  const mean = (of: (each: (typeof found)[number]) => number) => estimateMean(found.map(of))
  const lost = mean(({ float, post }) => float - post)
  const recovered = mean(({ float, post, aware }) => (aware - post) / (float - post))
  return {
    name: 'shows-qat',
    method: `int4 weights with one scale a tensor, uint8 activations; ${found.length} seeds`,
    figures: [
      { name: 'float', unit: '% top-1', ...mean(({ float }) => float) },
      { name: 'quantized after training', unit: '% top-1', ...mean(({ post }) => post) },
      { name: 'trained quantized', unit: '% top-1', ...mean(({ aware }) => aware) },
      { name: 'lost by quantizing', unit: 'points top-1', ...lost },
      { name: 'share of it that training recovered', unit: '', ...recovered },
    ],
    targets: [{ text: 'quantization-aware training recovers at least half', met: recovered.value >= wanted }],
  }
}

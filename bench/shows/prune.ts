import type { BenchResult } from '../result.ts'
import { estimateMean, estimateMedian, estimateRatio } from '../stats.ts'
import type { Lab, Step } from './lab.ts'
import { forEachSeed, training } from './teacher.ts'

const wanted = { speedup: 2.5, withLabels: 0.5, withoutLabels: 1 } as const

/** By the time of kernels on this host; what layers don't cost stays, so the whole model gains less than they do. */
const prune: Step = {
  pass: 'prune.structured',
  options: { ratio: 0.7, scope: 'cost', importance: 'taylor', minKept: 0.1 },
}

/** So few samples are soon learnt by heart. */
const regularized = {
  loss: { kind: 'cross-entropy', labelSmoothing: 0.1 },
  optimizer: { kind: 'adamw', weightDecay: 0.05 },
} as const

/** A large part of the channels removed from a CNN, then trained with labels, and without. */
export async function run(): Promise<BenchResult> {
  const found = await forEachSeed(async (lab, { seed, data, teacher }) => {
    const { labelled, unlabelled, test } = data
    const labels: Step = { pass: 'finetune', options: { ...training(seed, 6, 0.003), ...regularized } }
    const taught: Step = { pass: 'finetune', options: { ...training(seed, 4, 0.002), withoutLabels: 'distill' } }
    const original = await lab.score(teacher, test)
    const judge = async (steps: Step[], train?: string) => {
      const made = await lab.make({ model: teacher, steps, calibration: unlabelled, ...(train && { train }) })
      return { lost: original - (await lab.score(made, test)), speedup: await speedupOf(lab, teacher, made, test) }
    }
    return {
      original,
      untrained: await judge([prune]),
      withLabels: await judge([prune, labels], labelled),
      withoutLabels: await judge([prune, taught], unlabelled),
    }
  })
  const lost = (kind: 'untrained' | 'withLabels' | 'withoutLabels') =>
    estimateMean(found.map((each) => each[kind].lost))
  // A seed's three results have the same shapes, so these are three measurements of one speed.
  const speedOf = (each: (typeof found)[number]) =>
    estimateMedian([each.untrained, each.withLabels, each.withoutLabels].map(({ speedup }) => speedup)).value
  const speedup = estimateRatio(found.map(speedOf))
  const points = 'points top-1'
  return {
    name: 'shows-prune',
    method: `prune.structured by measured cost, then finetune; ${found.length} seeds, one sample a run, one thread`,
    figures: [
      { name: 'original', unit: '% top-1', ...estimateMean(found.map(({ original }) => original)) },
      { name: 'speed against the original', unit: '×', ...speedup },
      { name: 'lost, fitted but not trained', unit: points, ...lost('untrained') },
      { name: 'lost, trained with labels', unit: points, ...lost('withLabels') },
      { name: 'lost, taught by the original', unit: points, ...lost('withoutLabels') },
    ],
    targets: [
      { text: `at least ${wanted.speedup} times as fast`, met: speedup.value >= wanted.speedup },
      {
        text: `with labels within ${wanted.withLabels} points of the original`,
        met: lost('withLabels').value <= wanted.withLabels,
      },
      {
        text: `without labels within ${wanted.withoutLabels} point of the original`,
        met: lost('withoutLabels').value <= wanted.withoutLabels,
      },
    ],
  }
}

async function speedupOf(lab: Lab, baseline: string, optimized: string, dataset: string): Promise<number> {
  return (await lab.race(baseline, optimized, dataset)).speedup.p50
}

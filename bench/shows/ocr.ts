import path from 'node:path'
import { makeOurs } from '../matrix/artifacts.ts'
import { paintCase, paintSamples } from '../matrix/cases.ts'
import { compareFastest, judgeArtifacts } from '../matrix/judge.ts'
import type { BenchResult } from '../result.ts'
import { openLab, type Step } from './lab.ts'

const budgetMs = 8000
const pictures = 320
/** int8-mixed and auto search for a quarter of an hour and leave this model in float, as `npm run bench -- matrix` shows. */
const rivals = ['lossless', 'int8-dynamic', 'int8-static', 'w8'] as const
const name = 'self-distilled int8'

/** The float model teaches its quantized self what it says to pictures that nobody has labelled. */
const steps: readonly Step[] = [
  { pass: 'simplify' },
  {
    pass: 'qat',
    options: {
      learnFrom: 'original',
      temperature: 1,
      learningRate: 0.00001,
      batch: 8,
      epochs: 6,
      // Rounding in the first convolution alone costs 0.6 points of agreement, and it has little work.
      exclude: ['p2o.Conv.0'],
    },
  },
]

/**
 * PP-OCR rec, quantized and trained on painted lines of text, against the fastest that our recipes make of it without
 * training and that agrees with the original at least as well, on lines that none of them has seen.
 */
export async function run(): Promise<BenchResult> {
  const lab = await openLab()
  try {
    const { host } = lab
    const rec = await paintCase(lab.folder, 'rec')
    const train = await paintSamples(path.join(lab.folder, 'rec.train.npz'), 'rec', pictures, 3)
    const post = await makeOurs(rec, path.join(lab.folder, 'post'), host, rivals)
    const trained = await lab.make({ model: rec.model, steps, train, calibration: rec.calibration })
    const candidates = await judgeArtifacts(rec, [...post, { name, path: trained }], host)
    const own = candidates.find((each) => each.name === name)
    if (own === undefined) throw new Error('the trained model does not run')
    const asRight = candidates.filter((each) => each !== own && each.score >= own.score)
    const best = asRight.reduce((fastest, each) => (each.leastMs < fastest.leastMs ? each : fastest))
    const { speedup } = await compareFastest(rec, { theirs: best.path, ours: own.path }, host, budgetMs)
    const vs = `${name} (${own.score.toFixed(4)}) against ${best.name} (${best.score.toFixed(4)})`
    return {
      name: 'shows-ocr',
      method: `${pictures} unlabelled lines to learn from; one sample a run, one thread, interleaved; agreement in brackets`,
      figures: [
        ...candidates.map((each) => ({ name: `agreement of ${each.name}`, value: each.score, unit: '' })),
        { name: vs, value: speedup.p50, unit: 'x', ci95: speedup.ci95 },
      ],
      targets: [{ text: 'faster than the best without training at the same agreement', met: speedup.ci95[0] > 1 }],
    }
  } finally {
    await lab.close()
  }
}

import type { Note, PassOptions } from '../pass.ts'
import type { Plan } from './plan.ts'
import { describeScheme, type Scheme } from './scheme.ts'

/** What becomes of each node of a plan. */
export function describePlan(plan: Plan, scheme: Scheme): Note[] {
  const done =
    (reason: string) =>
    (node: { name: string; opType: string }): Note => ({
      node: node.name,
      op: node.opType,
      action: 'done',
      reason,
    })
  return [
    ...[...plan.anchors.keys()].map(done(describeScheme(scheme))),
    ...[...plan.followers].map(done('stays in int8 between int8 nodes')),
    ...(scheme.unsigned ? [unsignedNote] : []),
  ]
}

type Calibration = PassOptions<'quantize.static'>['calibration']

const rangeSources: Readonly<Record<Calibration['method'], string>> = {
  minmax: 'the smallest and largest values',
  moving_average: 'the moving average of the extremes of each batch',
  percentile: 'percentiles of the values',
  entropy: 'those of least divergence',
  mse: 'those of least squared error',
}

const unsignedNote: Note = {
  action: 'info',
  reason:
    'int8 activations are written as uint8 with zero points 128 higher: the same numbers, in the form that x64 has kernels for',
}

export function calibrationNote({ method }: Calibration, samples: number): Note {
  return { action: 'info', reason: `ranges are ${rangeSources[method]} over ${samples} samples` }
}

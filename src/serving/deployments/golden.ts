import { Check } from 'typebox/value'
import { HastenError } from '../../errors.ts'
import type { ModelRow, Storage } from '../../storage/index.ts'
import {
  findDifference,
  goldenSchema,
  recordGolden,
  roundingOptions,
  type Conditions,
  type Golden,
  type Outputs,
  type SessionOptions,
} from '../../engine/serving.ts'

/** This host, as far as it decides how answers are rounded. */
export type HostConditions = Omit<Conditions, 'session'>

interface GoldenDeps {
  readonly storage: Pick<Storage, 'models'>
  readonly host: HostConditions
}

/**
 * Compares what a model answered with what it answered where it was made, or first loaded; the first time, that is kept.
 * @returns what it answers here, to be compared with later
 * @throws HastenError `golden_mismatch`
 */
export async function settleGolden(
  { storage, host }: GoldenDeps,
  model: ModelRow,
  session: SessionOptions,
  runs: readonly [Outputs, ...Outputs[]],
): Promise<Golden> {
  const conditions = { ...host, session: roundingOptions(session) }
  const own = recordGolden(runs, conditions)
  if (model.golden === null) await storage.models.setGolden(model.project, model.id, own)
  // One that a newer release wrote says nothing here.
  else if (Check(goldenSchema, model.golden)) checkGolden(model.golden, runs[0], conditions)
  return own
}

/** @throws HastenError `golden_mismatch` */
export function checkGolden(golden: Golden, outputs: Outputs, conditions: Conditions): void {
  const difference = findDifference(golden, outputs, conditions)
  if (difference === undefined) return
  const { architecture, isa, runtime } = golden.conditions
  const where = `${architecture} (${isa.join(' ')}) with ONNX Runtime ${runtime}`
  throw new HastenError('golden_mismatch', `to generated inputs, ${difference}; that was on ${where}`)
}

import { HastenError, messageOf } from '../../errors.ts'
import { generateInputs, isViewable, viewOf, type Feeds, type Session, type Tensor } from '../../engine/serving.ts'
import type { Batching } from '../scheduler/batch-plan.ts'
import { sliceRows, splitRows } from '../scheduler/batch-tensors.ts'
import type { Observation } from '../scheduler/latency-model.ts'

const runDeadlineMs = 60_000
/** Runs of each size: the first allocates and plans memory, the others tell what it takes. */
const runsPerSize = 3
/** Rows of a batch that are compared with runs of their own. */
const comparedRows = 4
/** Made-up integers are 0 or 1, so that two rows may be equal by chance. */
const maxSeeds = 16

/** Kernels of other sizes round differently; a row that sees its neighbours differs by far more. */
const tolerances = { float16: 1e-2, bfloat16: 5e-2, float32: 1e-3, float64: 1e-6 } as const

/**
 * Shows that rows of a batch are answered as on their own, and warms every size that runs will have.
 * @returns what the runs took
 * @throws HastenError `session_option_invalid` with the reason when requests can't share runs, `run_canceled`
 */
export async function proveBatching(
  session: Session,
  batching: Batching,
  signal: AbortSignal,
): Promise<readonly Observation[]> {
  const fixed = [...session.inputs, ...session.outputs].find(
    ({ dims, anyRank }) => anyRank === true || dims.length === 0 || typeof dims[0] === 'number',
  )
  if (fixed !== undefined) throw refusal(`the first dim of '${fixed.name}' is not dynamic`)
  const { maxBatch } = batching
  const feeds = distinctRows(session, maxBatch)
  const singles: Outputs[] = []
  for (let row = 0; row < Math.min(comparedRows, maxBatch); row++) {
    singles.push(await runRows(session, splitRows(feeds, row, 1), signal))
  }
  const observations: Observation[] = []
  for (const rows of sizesOf(batching)) {
    for (let time = 0; time < runsPerSize; time++) {
      const startedAt = performance.now()
      const outputs = await runRows(session, splitRows(feeds, 0, rows), signal)
      if (time > 0) observations.push({ rows, ms: performance.now() - startedAt })
      for (const [row, single] of singles.slice(0, rows).entries()) compareRow(single, outputs, row, rows)
    }
  }
  return observations
}

/**
 * Warms every size that runs will have, of a session whose batching was proven before.
 * @throws HastenError `session_option_invalid` when a run fails, `run_canceled`
 */
export async function warmBatches(session: Session, batching: Batching, signal: AbortSignal): Promise<void> {
  const feeds = distinctRows(session, batching.maxBatch)
  for (const rows of sizesOf(batching)) await runRows(session, splitRows(feeds, 0, rows), signal)
}

function sizesOf({ maxBatch, buckets }: Batching): ReadonlySet<number> {
  return new Set([1, 2, ...buckets, maxBatch])
}

type Outputs = Readonly<Record<string, Tensor>>

function refusal(reason: string): HastenError {
  return new HastenError('session_option_invalid', `options/batching: ${reason}`, {
    hint: 'Leave `batching` out for this model. Dynamic quantization takes one scale for a whole batch; static does not.',
  })
}

/** Made-up inputs whose first two rows differ, so that a mix-up would show. */
function distinctRows(session: Session, rows: number): Feeds {
  const dims: Record<string, number> = {}
  for (const { dims: each } of session.inputs) if (typeof each[0] === 'string') dims[each[0]] = rows
  for (let seed = 1; seed <= maxSeeds; seed++) {
    const feeds = generateInputs(session.inputs, { batch: rows, seed, dims })
    const differ = Object.values(feeds).some((tensor) => !isSame(sliceRows(tensor, 0, 1), sliceRows(tensor, 1, 1)))
    if (differ) return feeds
  }
  throw refusal('no two different rows could be made up to prove it with')
}

function isSame(a: Tensor, b: Tensor): boolean {
  const bytesOf = (tensor: Tensor) => (tensor.dtype === 'string' ? Buffer.concat([...tensor.strings]) : tensor.bytes)
  return Buffer.compare(bytesOf(a), bytesOf(b)) === 0
}

async function runRows(session: Session, feeds: Feeds, signal: AbortSignal): Promise<Outputs> {
  try {
    return await session.run(feeds, { deadlineMs: runDeadlineMs, signal })
  } catch (error) {
    if (error instanceof HastenError && error.code === 'run_canceled') throw error
    const rows = Object.values(feeds)[0]?.dims[0]
    throw refusal(`the model fails on a batch of ${rows} generated rows: ${messageOf(error)}`)
  }
}

function compareRow(single: Outputs, outputs: Outputs, row: number, rows: number): void {
  for (const [name, batched] of Object.entries(outputs)) {
    const expected = single[name]
    if (expected === undefined || expected.dims[0] !== 1 || batched.dims[0] !== rows) {
      throw refusal(`output '${name}' of a batch of ${rows} has dims [${batched.dims.join(', ')}]: not a row for each`)
    }
    const own = sliceRows(batched, row, 1)
    if (own.dims.join() !== expected.dims.join()) {
      throw refusal(`a row of output '${name}' has other dims in a batch of ${rows} than alone`)
    }
    if (!isClose(own, expected)) throw refusal(`a row of output '${name}' is another in a batch of ${rows} than alone`)
  }
}

/** Within rounding of the largest value of the row; what has no rounding must be equal. */
function isClose(a: Tensor, b: Tensor): boolean {
  const [first, second] = [floatsOf(a), floatsOf(b)]
  if (first === undefined || second === undefined) return isSame(a, b)
  const largest = second.reduce((most, value) => (Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most), 0)
  const allowed = largest * (tolerances[a.dtype as keyof typeof tolerances] ?? 0)
  return first.every(
    (value, index) => Object.is(value, second[index]) || Math.abs(value - (second[index] ?? NaN)) <= allowed,
  )
}

function floatsOf(tensor: Tensor): Float64Array | undefined {
  if (tensor.dtype === 'string' || !isViewable(tensor.dtype)) return undefined
  const view = viewOf(tensor)
  if (view instanceof Float32Array || view instanceof Float64Array) return Float64Array.from(view)
  if (tensor.dtype === 'float16') return Float64Array.from(new Float16Array(view.slice().buffer))
  if (tensor.dtype === 'bfloat16') return Float64Array.from(view as Uint16Array, fromBfloat16)
  return undefined
}

/** A bfloat16 is the upper half of a float32. */
function fromBfloat16(bits: number): number {
  return new Float32Array(Uint32Array.of(bits << 16).buffer)[0] ?? NaN
}

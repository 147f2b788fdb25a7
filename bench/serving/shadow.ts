import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { createOrtRuntime } from '../../src/engine/runtime/ort/index.ts'
import { generateInputs, type Runtime } from '../../src/engine/serving.ts'
import { createLane, type Lane, type LaneRequest } from '../../src/serving/scheduler/lane.ts'
import { createRunSlots, type RunSlots } from '../../src/serving/scheduler/run-slots.ts'
import { createStatistics } from '../../src/serving/statistics.ts'
import { createMirror } from '../../src/serving/traffic/mirror.ts'
import { ocrModels } from '../../test/support/models.ts'
import type { BenchResult } from '../result.ts'
import { estimateMedian, quantile } from '../stats.ts'

const rounds = 21
const perRound = 100
const clients = [1, 2, 4]
const maxMedianRatio = 1.1
/** Between two rounds, so that the copies of one do not run in the next. */
const restMs = 300

/**
 * What a shadow that gets a copy of every request costs those who wait for the answers: PP-OCR cls beside itself, each
 * client asking again as soon as it has its answer, in rounds that take turns with the same lane without a shadow.
 */
export async function run(): Promise<BenchResult> {
  const runtime = createOrtRuntime()
  const slots = createRunSlots(2)
  const [primary, shadow] = [await open(runtime, slots), await open(runtime, slots)]
  const counts = { compared: 0, dropped: 0, failed: 0 }
  const { session } = primary
  const candidate = {
    name: 'cls',
    version: '2',
    project: 'default',
    inputs: session.inputs,
    outputs: session.outputs,
    instances: 2,
    lane: shadow.lane,
    statistics: createStatistics(),
  }
  const mirror = createMirror(primary, candidate, {
    wants: () => true,
    maxQueue: 16,
    tolerance: 0.01,
    events: {
      compared: () => void counts.compared++,
      dropped: () => void counts.dropped++,
      failed: () => void counts.failed++,
    },
  })
  const request: LaneRequest = {
    feeds: generateInputs(session.inputs, { batch: 1, seed: 1 }),
    outputs: undefined,
    signal: new AbortController().signal,
    deadlineAt: undefined,
  }
  try {
    const ratios = new Map<number, readonly number[]>()
    for (const count of clients) ratios.set(count, await ratiosOf(primary.lane, mirror, request, count))
    return report(ratios, counts)
  } finally {
    await sleep(restMs)
    for (const { lane, session: each } of [primary, shadow]) {
      await lane.drain()
      await each.release()
    }
    await runtime.close()
  }
}

async function open(runtime: Runtime, slots: RunSlots) {
  const session = await runtime.createSession(
    { bytes: readFileSync(ocrModels.cls) },
    { session: { intraOpThreads: 1, spinning: false } },
  )
  return { session, lane: createLane({ session, slots, maxQueue: 100, maxInFlight: 2 }) }
}

/** By round, the median with the shadow to that without. */
async function ratiosOf(plain: Lane, mirrored: Lane, request: LaneRequest, count: number): Promise<readonly number[]> {
  const ratios: number[] = []
  for (let round = 0; round < rounds; round++) {
    const without = await medianOf(plain, request, count)
    const withShadow = await medianOf(mirrored, request, count)
    await sleep(restMs)
    ratios.push(withShadow / without)
  }
  return ratios
}

async function medianOf(lane: Lane, request: LaneRequest, count: number): Promise<number> {
  const times: number[] = []
  const client = async () => {
    for (let asked = 0; asked < perRound; asked++) {
      const startedAt = performance.now()
      const result = await lane.submit(request)
      times.push(performance.now() - startedAt)
      result.release()
    }
  }
  await Promise.all(Array.from({ length: count }, client))
  return quantile(times, 0.5)
}

function report(
  ratios: ReadonlyMap<number, readonly number[]>,
  counts: Readonly<Record<'compared' | 'dropped' | 'failed', number>>,
): BenchResult {
  const medians = [...ratios].map(([count, values]) => {
    const { value, ci95 } = estimateMedian(values)
    return { count, value, ci95 }
  })
  return {
    name: 'shadow',
    method: `PP-OCR cls with a shadow that gets a copy of every request, and without, ${rounds} interleaved rounds of ${perRound} requests a client`,
    figures: [
      ...medians.map(({ count, value, ci95 }) => {
        return { name: `p50 with to without a shadow, clients: ${count}`, value, unit: '×', ci95 }
      }),
      ...Object.entries(counts).map(([name, value]) => ({ name: `copies ${name}`, value, unit: '' })),
    ],
    targets: medians.map(({ count, value }) => ({
      text: `p50 at most ${maxMedianRatio}× with a shadow, clients: ${count}`,
      met: value <= maxMedianRatio,
    })),
  }
}

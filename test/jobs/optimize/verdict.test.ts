import { describe, expect, test } from 'vitest'
import type { Evidence, ModelEvidence, QualityReport } from '../../../src/engine/index.ts'
import { chooseModel, type Trial } from '../../../src/jobs/optimize/choose.ts'
import { readInput } from '../../../src/jobs/optimize/input.ts'
import { describePlacement } from '../../../src/jobs/optimize/placement.ts'
import { nameResult } from '../../../src/jobs/optimize/publish.ts'
import { sessionFor } from '../../../src/jobs/optimize/sessions.ts'
import { judgeJob } from '../../../src/jobs/optimize/verdict.ts'

function model(p50: number, size: number): ModelEvidence {
  const latency = {
    p50_ms: p50,
    p90_ms: p50,
    p95_ms: p50,
    p99_ms: p50,
    min_ms: p50,
    mad_ms: 0,
    percentiles_ms: [],
    runs: 9,
  }
  return {
    latency,
    throughput: 1000 / p50,
    frames_per_second: 1000 / p50,
    cold_start_ms: 5,
    peak_memory_bytes: 9,
    size_bytes: size,
  }
}

function evidence(speedup: number, significance: Evidence['significance']): Evidence {
  return {
    baseline: model(speedup, 400),
    optimized: model(1, 100),
    speedup: { p50: speedup, ci95: [speedup * 0.98, speedup * 1.02] },
    noise: { p50: 1, ci95: [0.99, 1.01] },
    significance,
    method: { batch: 1, threads: 1, rounds: 3, runs_per_block: 3, resamples: 100, seed: 1, elapsed_ms: 10 },
  }
}

const top1 = { metric: 'top1', output: 'y', baseline: 0.9, optimized: 0.89, delta: -0.01, ci95: [-0.02, 0] } as const
const report: QualityReport = { task: 'classification', samples: 50, metrics: [top1], outputs: [top1] }
const quality = { report, generated: false }

function trial(given: Evidence, changes: Partial<Trial> = {}): Trial {
  const optimized = { path: 'x', files: [], session: {}, changed: true }
  return { name: 'int8-static', optimized, evidence: given, quality, ...changes }
}

const verdictOf = (gates: readonly string[], ...trials: [Trial, ...Trial[]]) => judgeJob(chooseModel(gates, trials))

describe('the verdict', () => {
  test('passes when every gate holds and says what it is based on', () => {
    const verdict = verdictOf(['speedup >= 1.5', 'top1 >= baseline - 0.02'], trial(evidence(2, 'faster')))
    expect(verdict).toMatchObject({
      passed: true,
      reason: 'int8-static is 2.00 times as fast as the original on this host.',
      candidate: 'int8-static',
      significance: 'faster',
      speedup: { p50: 2 },
      size_ratio: 0.25,
      quality_basis: { task: 'classification', samples: 50, generated: false },
    })
    expect(verdict.gates.map((gate) => gate.passed)).toEqual([true, true])
  })

  test('fails with one gate, and shows which', () => {
    const verdict = verdictOf(['top1 >= baseline - 0.005', 'size <= 1KB'], trial(evidence(2, 'faster')))
    expect(verdict.passed).toBe(false)
    expect(verdict.gates.map((gate) => gate.passed)).toEqual([false, true])
    expect(verdict.reason).toMatch(/fails the gate top1 >= baseline - 0.005: .*The original stays/)
  })

  test('a gate on what was not measured fails', () => {
    const agreement = { ...quality, report: { ...report, task: 'agreement' as const, metrics: [] } }
    expect(verdictOf(['top1 >= 0.5'], trial(evidence(2, 'faster'), { quality: agreement })).passed).toBe(false)
  })
})

describe('the original stays', () => {
  test('against a slower model, whatever its size and although every gate holds', () => {
    expect(verdictOf([], trial(evidence(0.5, 'slower')))).toMatchObject({
      passed: false,
      significance: 'slower',
      reason: 'int8-static is 2.00 times slower than the original on this host. The original stays the result.',
    })
  })

  test('against a smaller one that is probably slower, although the host varies more by itself', () => {
    const verdict = verdictOf([], trial(evidence(0.9, 'same')))
    expect(verdict).toMatchObject({ passed: false, size_ratio: 0.25 })
    expect(verdict.reason).toBe(
      'int8-static is probably slower than the original, by no more than this host varies by itself. The original stays the result.',
    )
  })

  test('against a smaller one whose speed was measured too poorly to call it as fast', () => {
    const wide = { ...evidence(0.88, 'same'), speedup: { p50: 0.88, ci95: [0.69, 1.12] as const } }
    expect(verdictOf([], trial(wide))).toMatchObject({
      passed: false,
      reason: expect.stringMatching(/probably slower/),
    })
  })

  test('against one that is neither faster nor smaller', () => {
    const equal = evidence(1.02, 'same')
    const large = { ...equal, optimized: { ...equal.optimized, size_bytes: 399 } }
    expect(verdictOf([], trial(large)).passed).toBe(false)
  })

  test('and it is said when there was nothing to change', () => {
    const optimized = { ...trial(evidence(1, 'same')).optimized, changed: false }
    expect(verdictOf([], trial(evidence(1, 'same'), { optimized })).reason).toMatch(/found nothing to change/)
  })

  test('also where two measurements of the same model differ', () => {
    const optimized = { ...trial(evidence(1.2, 'faster')).optimized, changed: false }
    const verdict = verdictOf(['p50 <= 0.9 ms'], trial(evidence(1.2, 'faster'), { optimized }))
    expect(verdict).toMatchObject({ passed: false, reason: expect.stringMatching(/The original stays/) })
  })

  test('and why, where only lossless rewrites were made', () => {
    const untouched = 'quantize.static has no form for any operator of this model'
    const slow = evidence(0.9, 'slower')
    const optimized = { ...trial(evidence(1, 'same')).optimized, untouched }
    expect(verdictOf([], trial(slow, { optimized })).reason).toBe(
      `int8-static made lossless rewrites only (${untouched}) and is 1.11 times slower than the original on this host. The original stays the result.`,
    )
    const same = { ...optimized, changed: false }
    expect(verdictOf([], trial(slow, { optimized: same })).reason).toBe(
      `int8-static found nothing to change in this model: ${untouched}. The original stays the result.`,
    )
  })
})

describe('the original gives way', () => {
  test('to a smaller model of the same speed', () => {
    const verdict = verdictOf([], trial(evidence(1.01, 'same')))
    expect(verdict).toMatchObject({ passed: true, significance: 'same' })
    expect(verdict.reason).toContain('has 25 % of its size')
  })

  test('to a slower model when only that one passes a gate on size', () => {
    const verdict = verdictOf(['size <= 0.5 * baseline'], trial(evidence(0.8, 'slower')))
    expect(verdict).toMatchObject({ passed: true, significance: 'slower' })
    expect(verdict.reason).toMatch(/1.25 times slower .*it passes size <= 0.5 \* baseline, which the original does not/)
  })
})

describe('of several models', () => {
  const slower = trial(evidence(0.9, 'slower'), { name: 'slower' })
  const fast = trial(evidence(1.5, 'faster'), { name: 'fast' })
  const fastest = trial(evidence(3, 'faster'), { name: 'fastest' })
  const wrong = { ...top1, optimized: 0.5, delta: -0.4 }
  const broken = { ...fastest, quality: { ...quality, report: { ...report, metrics: [wrong] } } }

  test('the fastest that passes wins', () => {
    expect(verdictOf([], slower, fast, fastest)).toMatchObject({ passed: true, candidate: 'fastest' })
    const verdict = verdictOf(['top1 >= baseline - 0.02'], slower, fast, broken)
    expect(verdict).toMatchObject({ passed: true, candidate: 'fast' })
  })

  test('when none wins, the verdict is about the best that passes its gates', () => {
    const verdict = verdictOf(['top1 >= baseline - 0.02'], broken, slower)
    expect(verdict).toMatchObject({ passed: false, candidate: 'slower' })
  })
})

describe('the placement', () => {
  const facts = {
    hostId: 'hst_1',
    runtime: { version: '1.30.0' },
    isa: ['avx2'],
    slot: { cpus: [0, 1], gpu: undefined },
  }
  const cpu = { device: 'cpu' as const, threads: 1, batch: 1 }
  const cuda = { device: 'cuda' as const, threads: 1, batch: 1 }
  const both = ['CUDAExecutionProvider', 'CPUExecutionProvider']

  test('on the CPU nothing falls back', () => {
    const placement = describePlacement({ providers: ['CPUExecutionProvider'] }, { ...facts, target: cpu })
    expect(placement).toMatchObject({ provider: 'CPUExecutionProvider', fallback_nodes: 0, cpus: [0, 1], gpu: null })
  })

  test('on a GPU the nodes that the CPU took are counted', () => {
    const nodeCounts = { CUDAExecutionProvider: 40, CPUExecutionProvider: 3 }
    const placement = describePlacement({ providers: both, nodeCounts }, { ...facts, target: cuda })
    expect(placement).toMatchObject({ device: 'cuda', provider: 'CUDAExecutionProvider', fallback_nodes: 3 })
  })

  test('a runtime that can not tell says so rather than 0', () => {
    expect(describePlacement({ providers: both }, { ...facts, target: cuda }).fallback_nodes).toBeNull()
  })
})

test('what a pass chose wins over the target, and a GPU target always asks for its provider', () => {
  const session = sessionFor({ device: 'cuda', threads: 2, batch: 1 }, { intraOpThreads: 4, spinning: false })
  expect(session).toMatchObject({ intraOpThreads: 4, spinning: false, providers: [{ name: 'cuda' }, { name: 'cpu' }] })
})

test('a row of another form is refused, not guessed at', () => {
  const target = { device: 'cpu', threads: 1, batch: 1, host: null, labels: {} }
  const recipe = { id: null, name: 'lossless', version: 1, body: { version: 1, steps: [] } }
  expect(readInput({ target, recipe })).toMatchObject({ recipeName: 'lossless', target: { device: 'cpu' } })
  expect(() => readInput({ target: { ...target, device: 'tpu' }, recipe })).toThrow('target')
  expect(() => readInput({ target, recipe: { name: 'x' } })).toThrow('recipe')
})

test('the name of a result says model and recipe and stays a valid name', () => {
  expect(nameResult('cls', 'int8-static')).toBe('cls-int8-static')
  expect(nameResult('m'.repeat(128), 'lossless')).toMatch(/^m{119}-lossless$/)
})

import { describe, expect, it } from 'vitest'
import { HastenError } from '../../../src/errors.ts'
import { allPassed, evaluateGates, parseGate, parseGates } from '../../../src/engine/gates/index.ts'
import type { Evidence, ModelEvidence } from '../../../src/engine/measure/evidence.ts'
import type { QualityMetric, QualityReport } from '../../../src/engine/measure/quality/report.ts'

function errorOf(action: () => unknown): HastenError {
  try {
    action()
  } catch (error) {
    if (error instanceof HastenError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('parseGate', () => {
  it.each([
    ['top1 >= baseline - 0.005', 'top1', '>=', 1, -0.005],
    ['top1>=baseline-0.5%', 'top1', '>=', 1, -0.005],
    ['top5 > 99 %', 'top5', '>', 0, 0.99],
    ['p50 <= 0.8 * baseline', 'p50', '<=', 0.8, 0],
    ['p50 <= baseline * 80%', 'p50', '<=', 0.8, 0],
    ['p99 < baseline + 1ms', 'p99', '<', 1, 1],
    ['p99 < 1.1 * baseline - 250us', 'p99', '<', 1.1, -0.25],
    ['cold_start <= 1.5 s', 'cold_start', '<=', 0, 1500],
    ['size <= 10MB', 'size', '<=', 0, 1e7],
    ['size <= 10MiB', 'size', '<=', 0, 10_485_760],
    ['memory < 2e3KB', 'memory', '<', 0, 2e6],
    ['sqnr >= 30dB', 'sqnr', '>=', 0, 30],
    ['kl <= .01', 'kl', '<=', 0, 0.01],
    ['cosine > -0.5', 'cosine', '>', 0, -0.5],
    ['speedup >= 1.5x', 'speedup', '>=', 0, 1.5],
    ['throughput == baseline', 'throughput', '==', 1, 0],
  ])('reads %s', (expr, metric, comparison, scale, offset) => {
    const gate = parseGate(expr)
    expect(gate).toMatchObject({ expr, metric, comparison })
    expect(gate.scale).toBeCloseTo(scale, 12)
    expect(gate.offset).toBeCloseTo(offset, 12)
  })

  it.each([
    ['', 1, 'a metric'],
    ['top9 >= 1', 1, 'a metric (top1, top5'],
    ['toString >= 1', 1, 'a metric'],
    ['top1 = 1', 6, 'a metric, a comparison'],
    ['top1 baseline', 6, 'one of >= <= > < =='],
    ['top1 >=', 8, 'a number or `baseline`'],
    ['top1 >= foo', 9, 'a number or `baseline`'],
    ['top1 >= baseline - 5ms', 21, 'a unit (%) or none'],
    ['top1 >= 0.5 * 2', 15, 'a number or `baseline`'],
    ['top1 >= 0.5 baseline', 13, '`%` or `*`'],
    ['top1 >= baseline - baseline', 20, 'a number or `baseline`'],
    ['top1 >= baseline 0.5', 18, 'the end of the gate'],
    ['p50 <= 5', 9, 'a unit (us, ms, s)'],
    ['p50 <= 5MB', 9, 'a unit (us, ms, s)'],
    ['p50 <= 80', 10, 'got the end'],
    ['size <= 10 mb', 12, 'a unit (B, KB'],
    ['agreement >= baseline', 14, 'agreement already compares with the baseline'],
    ['agreement >= 2 * 3', 16, 'the end of the gate'],
    ['mae <= 5 toString', 10, 'no unit'],
    ['p50 <= 1ms && p99 <= 2ms', 12, 'a metric, a comparison'],
    [`top1 >= ${'9'.repeat(300)}`, 201, 'at most 200 characters'],
  ])('refuses %s', (expr, column, expected) => {
    const error = errorOf(() => parseGate(expr))
    expect(error.code).toBe('gate_invalid')
    expect(error.errors).toMatchObject([{ line: 1, column }])
    expect(error.message).toContain(expected)
  })

  it('lists every wrong gate of a job with its pointer', () => {
    const error = errorOf(() => parseGates(['top1 >= 0.9', 'p50 <= 5', 'nope'], '/body/gates'))
    expect(error.errors.map(({ pointer, column }) => [pointer, column])).toEqual([
      ['/body/gates/1', 9],
      ['/body/gates/2', 1],
    ])
    expect(parseGates(['top1 >= 0.9', 'size <= 1MB']).map(({ metric }) => metric)).toEqual(['top1', 'size'])
  })
})

function modelEvidence(p50: number, size: number): ModelEvidence {
  const latency = {
    p50_ms: p50,
    p90_ms: p50 * 1.1,
    p95_ms: p50 * 1.2,
    p99_ms: p50 * 1.5,
    min_ms: p50 * 0.9,
    mad_ms: p50 * 0.01,
    percentiles_ms: [],
    runs: 100,
  }
  return {
    latency,
    throughput: 1000 / p50,
    frames_per_second: 1000 / p50,
    cold_start_ms: 80,
    peak_memory_bytes: Number.NaN,
    size_bytes: size,
  }
}

const evidence: Evidence = {
  baseline: modelEvidence(2, 1_200_000),
  optimized: modelEvidence(1, 400_000),
  speedup: { p50: 2, ci95: [1.9, 2.1] },
  noise: { p50: 1, ci95: [0.99, 1.01] },
  significance: 'faster',
  method: { batch: 1, threads: 1, rounds: 20, runs_per_block: 10, resamples: 2000, seed: 1, elapsed_ms: 1000 },
}

function row(metric: QualityMetric['metric'], baseline: number | null, optimized: number): QualityMetric {
  const delta = baseline === null ? null : optimized - baseline
  return { metric, output: 'logits', baseline, optimized, delta, ci95: null }
}

function report(task: QualityReport['task'], metrics: QualityMetric[]): QualityReport {
  return { task, samples: 1000, metrics, outputs: metrics }
}

const labelled = report('classification', [row('top1', 0.98, 0.975), row('agreement', null, 0.99)])
const unlabelled = report('agreement', [row('agreement', null, 0.99)])

describe('evaluateGates', () => {
  const evaluate = (expr: string, quality: QualityReport | undefined = labelled) =>
    evaluateGates([parseGate(expr)], evidence, quality)[0]!

  it.each([
    // 0.98 - 0.005 is not exactly 0.975 in binary; a gate means the decimal.
    ['top1 >= baseline - 0.005', true, 0.975, 0.975],
    ['top1 > baseline - 0.005', false, 0.975, 0.975],
    ['top1 >= baseline - 0.004', false, 0.975, 0.976],
    ['top1 == 97.5%', true, 0.975, 0.975],
    ['p50 <= 0.8 * baseline', true, 1, 1.6],
    ['p50 < 0.5 * baseline', false, 1, 1],
    ['p99 <= baseline - 1ms', true, 1.5, 2],
    ['size <= 500KB', true, 400_000, 500_000],
    ['size <= 0.25 * baseline', false, 400_000, 300_000],
    ['speedup >= 1.5', true, 2, 1.5],
    ['fps >= baseline + 400', true, 1000, 900],
    ['agreement >= 99.5%', false, 0.99, 0.995],
  ])('%s → %s', (expr, passed, value, threshold) => {
    const result = evaluate(expr)
    expect(result).toMatchObject({ expr, passed })
    expect(result.value).toBeCloseTo(value, 9)
    expect(result.threshold).toBeCloseTo(threshold, 9)
  })

  it('explains a result with its numbers and units', () => {
    expect(evaluate('p50 <= 0.8 * baseline').detail).toBe('p50 is 1 ms, wanted <= 1.6 ms (baseline 2 ms)')
    expect(evaluate('size <= 300KB').detail).toBe('size is 400 KB, wanted <= 300 KB')
    const nearZero = report('agreement', [row('sqnr', null, 7.4), row('max_abs', null, 1.5e-7)])
    expect(evaluate('sqnr >= 30dB', nearZero).detail).toBe(
      'sqnr is 7.4 dB, wanted >= 30 dB; the largest difference is 1.5e-7',
    )
  })

  it.each([
    ['top1 >= 0', unlabelled, 'the dataset has no labels; measured: agreement'],
    ['mse <= 1000000', labelled, 'it does not fit the task (classification)'],
    ['kl <= 1000000', unlabelled, 'it does not fit the task (agreement)'],
    ['memory <= 1000GB', labelled, 'memory could not be measured on this host'],
  ])('never passes %s when it was not measured', (expr, quality, reason) => {
    const result = evaluate(expr, quality)
    expect(result).toMatchObject({ passed: false, value: null, threshold: null })
    expect(result.detail).toContain(reason)
  })

  it('fails every gate when nothing was measured, and passes a job without gates', () => {
    const gates = parseGates(['p50 <= 1s', 'top1 >= 0', 'speedup > 0'])
    const results = evaluateGates(gates)
    expect(results.map(({ passed }) => passed)).toEqual([false, false, false])
    expect(results.map(({ detail }) => detail)).toEqual([
      'p50 was not measured: the models were not timed',
      'top1 was not measured: no dataset to judge quality with',
      'speedup was not measured: the models were not timed',
    ])
    expect(allPassed(results)).toBe(false)
    expect(allPassed([])).toBe(true)
  })
})

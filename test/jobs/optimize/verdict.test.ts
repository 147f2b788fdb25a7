import { describe, expect, test } from 'vitest'
import type { Evidence, ModelEvidence, QualityReport } from '../../../src/engine/index.ts'
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

describe('the verdict', () => {
  test('passes when every gate holds and says what it is based on', () => {
    const verdict = judgeJob(['speedup >= 1.5', 'top1 >= baseline - 0.02'], evidence(2, 'faster'), quality)
    expect(verdict).toMatchObject({
      passed: true,
      significance: 'faster',
      speedup: { p50: 2 },
      size_ratio: 0.25,
      quality_basis: { task: 'classification', samples: 50, generated: false },
    })
    expect(verdict.gates.map((gate) => gate.passed)).toEqual([true, true])
  })

  test('fails with one gate, and shows which', () => {
    const verdict = judgeJob(['top1 >= baseline - 0.005', 'size <= 1KB'], evidence(2, 'faster'), quality)
    expect(verdict.passed).toBe(false)
    expect(verdict.gates.map((gate) => gate.passed)).toEqual([false, true])
  })

  test('is truthful about a model that became slower: no gate asked for speed, so it passes, and it is slower', () => {
    expect(judgeJob([], evidence(0.5, 'slower'), quality)).toMatchObject({
      passed: true,
      significance: 'slower',
      speedup: { p50: 0.5 },
    })
    expect(judgeJob(['p50 <= baseline'], evidence(0.5, 'slower'), quality).passed).toBe(false)
  })

  test('a gate on what was not measured fails', () => {
    const agreement = { ...quality, report: { ...report, task: 'agreement' as const, metrics: [] } }
    expect(judgeJob(['top1 >= 0.5'], evidence(2, 'faster'), agreement).passed).toBe(false)
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

import { describe, expect, test } from 'vitest'
import { formatEvidence, type JobView } from '../../src/cli/evidence.ts'
import { HastenError } from '../../src/errors.ts'
import { exitCodeOf, nameOptions, resourceName } from '../../src/cli/run.ts'

const measurement = (p50: number, bytes: number) => ({
  latency: { p50_ms: p50, p90_ms: p50 * 1.1, p95_ms: p50 * 1.2, p99_ms: p50 * 1.5 },
  throughput: 1000 / p50,
  frames_per_second: 1000 / p50,
  peak_memory_bytes: 4 * bytes,
  cold_start_ms: 50,
  size_bytes: bytes,
})

const succeeded: JobView = {
  id: 'job_01',
  state: 'succeeded',
  verdict: {
    passed: true,
    reason: 'int8-static is 2.40 times as fast.',
    candidate: 'int8-static',
    significance: 'faster',
    speedup: { p50: 2.4, ci95: [2.31, 2.52] },
    size_ratio: 0.26,
    quality: [{ metric: 'top1', baseline: 0.991, optimized: 0.99, delta: -0.001, ci95: [-0.004, 0.002] }],
    gates: [{ expr: 'size <= 10MB', passed: true, detail: 'size is 1.3 MB' }],
  },
  candidates: [
    { name: 'original', role: 'baseline', measurement: measurement(2.4, 5_000_000) },
    { name: 'int8-static', role: 'chosen', measurement: measurement(1, 1_300_000) },
  ],
  warnings: [{ code: 'int8_not_accelerated', hint: 'Measure on another host.' }],
  error: null,
  result: { model: 'mdl_02' },
}

describe('formatEvidence', () => {
  test('shows both models, the change with its interval, quality, gates and warnings', () => {
    expect(formatEvidence(succeeded)).toMatchInlineSnapshot(`
      "             baseline  optimized        change (95 % CI)
      -----------  --------  ---------  ----------------------
      p50            2.4 ms       1 ms       2.4x [2.31, 2.52]
      p90           2.64 ms     1.1 ms                    42 %
      p95           2.88 ms     1.2 ms                    42 %
      p99            3.6 ms     1.5 ms                    42 %
      throughput     417 /s    1000 /s                   240 %
      frames         417 /s    1000 /s                   240 %
      peak memory     20 MB     5.2 MB                    26 %
      cold start      50 ms      50 ms                   100 %
      size             5 MB     1.3 MB                    26 %
      top1            0.991       0.99  -0.001 [-0.004, 0.002]

      PASS  1/1 gates · faster here: 2.4x, 95 % CI 2.31 to 2.52
        int8-static is 2.40 times as fast.
        pass  size <= 10MB   (size is 1.3 MB)
        note  int8_not_accelerated: Measure on another host."
    `)
  })

  test('a failed gate is said to have failed, whatever the speed', () => {
    const failed = { expr: 'top1 >= 0.995', passed: false }
    const job = { ...succeeded, verdict: { ...succeeded.verdict!, passed: false, gates: [failed] } }
    expect(formatEvidence(job)).toContain('FAIL  0/1 gates · faster here')
    expect(formatEvidence(job)).toContain('FAIL  top1 >= 0.995')
  })

  test('where the original stays although every gate holds, nothing is called a pass', () => {
    const reason = 'int8-static is 1.40 times slower. The original stays the result.'
    const verdict = { ...succeeded.verdict!, passed: false, significance: 'slower', reason }
    const [baseline, other] = succeeded.candidates
    const job = { ...succeeded, verdict, candidates: [baseline!, { ...other!, role: 'candidate' }] }
    expect(formatEvidence(job)).toContain(`KEEP  1/1 gates · slower here: 2.4x, 95 % CI 2.31 to 2.52\n  ${reason}`)
    expect(formatEvidence(job)).toMatch(/p50 +2.4 ms +1 ms/)
  })

  test('a job that failed shows its error, code and hint', () => {
    const error = { code: 'model_run_failed', detail: 'node 3 divides by zero', hint: 'Try it in onnxruntime.' }
    const text = formatEvidence({ ...succeeded, state: 'failed', verdict: null, error })
    expect(text).toBe('job_01 failed: node 3 divides by zero [model_run_failed]\n  Try it in onnxruntime.')
  })
})

test.each([
  ['succeeded', true, 0],
  ['succeeded', false, 2],
] as const)('a job that %s with passed %s exits %i', (state, passed, code) => {
  expect(exitCodeOf({ ...succeeded, state, verdict: { ...succeeded.verdict!, passed } })).toBe(code)
})

test.each(['failed', 'canceled', 'expired'])('a job that is %s exits 1', (state) => {
  expect(exitCodeOf({ ...succeeded, state, verdict: null })).toBe(1)
})

test.each([
  ['/models/ResNet 50 (v2).onnx', 'resnet-50-v2-'],
  ['_weird.onnx', 'weird'],
  ['....onnx', 'model'],
])('resourceName(%s) is %s', (file, name) => {
  expect(resourceName(file)).toBe(name)
})

test('a dataset that the recipe needs is asked for by the name of its option', () => {
  const errors = [{ pointer: '/datasets/calibration', detail: 'ranges are chosen from a calibration dataset' }]
  const error = new HastenError('dataset_needed', 'The recipe int8-static needs a calibration dataset.', { errors })
  expect(nameOptions(error)).toMatchObject({
    message: error.message,
    errors,
    hint: expect.stringContaining('--calibration samples.npz'),
  })
  const other = new HastenError('not_found', 'no recipe x')
  expect(nameOptions(other)).toBe(other)
})

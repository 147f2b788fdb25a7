import { describe, expect, it } from 'vitest'
import { listEvidence } from '../../../src/api/reports/evidence.ts'
import { formatBytes, formatChange, formatDuration, formatValue } from '../../../src/api/reports/format.ts'
import { sampleJob, sampleVerdict } from './sample-job.ts'

const rowOf = (metric: string, job = sampleJob()) => listEvidence(job).find((row) => row.metric === metric)

describe('listEvidence', () => {
  it('takes the speed-up and its interval from the verdict, not from the two medians', () => {
    expect(rowOf('p50')).toMatchObject({
      baseline: 5,
      optimized: 2,
      change: { kind: 'speedup', value: 2.5, ci95: [2.4, 2.6] },
      direction: 'better',
    })
  })

  it('calls nothing better or worse that has no interval', () => {
    for (const metric of ['p90', 'p95', 'p99', 'throughput', 'fps', 'memory', 'cold_start']) {
      expect(rowOf(metric)?.direction, metric).toBeNull()
    }
  })

  it('knows which way a metric is better', () => {
    expect(rowOf('top1')?.direction).toBe('same')
    expect(rowOf('mae')?.direction).toBe('worse')
    expect(rowOf('size')?.direction).toBe('better')
    expect(rowOf('agreement')).toMatchObject({ baseline: null, change: null, direction: null })
  })

  it.each([
    ['slower', 'worse'],
    ['same', 'same'],
  ])('says what a %s verdict says', (significance, direction) => {
    expect(rowOf('p50', sampleJob({ verdict: { ...sampleVerdict, significance } }))?.direction).toBe(direction)
  })

  it('has no row for what was not measured', () => {
    expect(listEvidence(sampleJob({ candidates: [], verdict: null }))).toEqual([])
    const [baseline] = sampleJob().candidates
    const alone = listEvidence(sampleJob({ candidates: [baseline!], verdict: null }))
    expect(alone[0]).toMatchObject({ metric: 'p50', baseline: 5, optimized: null, change: null, direction: null })
  })

  it('reads no number out of malformed rows', () => {
    const [baseline] = sampleJob().candidates
    const broken = { ...baseline!, measurement: { latency: { p50_ms: 'fast' }, size_bytes: Number.NaN } }
    expect(listEvidence(sampleJob({ candidates: [broken], verdict: { speedup: [] } }))).toEqual([])
  })
})

describe('formatting', () => {
  it.each([
    [2.345678, 'ms', '2.35 ms'],
    [0.000345678, 'ms', '0.000346 ms'],
    [12345, 'per_second', '12345 /s'],
    [0.98765, 'fraction', '98.77 %'],
    [0, 'plain', '0'],
    [null, 'ms', '–'],
    [1.5e-9, 'plain', '1.50e-9'],
  ] as const)('shows %d %s as %s', (value, unit, text) => {
    expect(formatValue(value, unit)).toBe(text)
  })

  it('shows changes with their interval and sign', () => {
    const change = { kind: 'difference', value: -0.004, ci95: [-0.009, 0.001] } as const
    expect(formatChange({ change, unit: 'fraction' })).toBe('−0.40 pp [−0.90, +0.10]')
    expect(formatChange({ change: { ...change, value: 0, ci95: null }, unit: 'fraction' })).toBe('0.00 pp')
    expect(formatChange({ change: { kind: 'speedup', value: 2.31, ci95: [2.24, 2.38] }, unit: 'ms' })).toBe(
      '2.31× [2.24, 2.38]',
    )
    expect(formatChange({ change: { kind: 'ratio', value: 0.26, ci95: null }, unit: 'bytes' })).toBe('26 %')
  })

  it('shows sizes and times as people read them', () => {
    expect([formatBytes(0), formatBytes(999), formatBytes(4.7e6), formatBytes(2e12)]).toEqual([
      '0 B',
      '999 B',
      '4.70 MB',
      '2.00 TB',
    ])
    expect([formatDuration(12), formatDuration(1500), formatDuration(125_000), formatDuration(null)]).toEqual([
      '12 ms',
      '1.5 s',
      '2 min 5 s',
      '–',
    ])
  })
})

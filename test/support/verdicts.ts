import { expect } from 'vitest'
import type { HastenProcess } from '../../scripts/lib/hasten-process.ts'
import type { JobView } from '../../src/cli/evidence.ts'

export async function waitForJob({ client }: HastenProcess, id: string): Promise<JobView> {
  for await (const event of client.events(`/v1/jobs/${id}/events`)) void event
  return client.get<JobView>(`/v1/jobs/${id}`)
}

/** The claim has to follow from the numbers beside it, for a job whose gates ask for likeness only. */
export function expectTruthful({ verdict, result, candidates }: JobView, original: string): void {
  const [low, high] = verdict!.speedup.ci95
  // Nothing slower than the original is ever the result.
  const isSmaller = verdict!.significance === 'same' && high >= 1 && verdict!.size_ratio < 1
  const offered = verdict!.significance === 'faster' || isSmaller
  if (verdict!.passed) expect(offered).toBe(true)
  expect(result!.model === original).toBe(!verdict!.passed)
  expect(candidates.some(({ role }) => role === 'chosen')).toBe(verdict!.passed)
  expect(verdict!.reason).toMatch(/\.$/)
  if (verdict!.significance === 'faster') expect(low).toBeGreaterThan(1)
  if (verdict!.significance === 'slower') expect(high).toBeLessThan(1)
}

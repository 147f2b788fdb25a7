import { expect, test } from 'vitest'
import { backoffDelay } from '../../src/jobs/define-job.ts'
import { hostQueue, queueOf } from '../../src/jobs/queues.ts'

const policy = { maxAttempts: 3, backoffMs: 100, maxBackoffMs: 1_000 }

test('the backoff doubles with each attempt and stays between half of it and all of it', () => {
  expect([1, 2, 3].map((attempt) => backoffDelay(policy, attempt, 0))).toEqual([50, 100, 200])
  expect([1, 2, 3].map((attempt) => backoffDelay(policy, attempt, 0.999_999))).toEqual([100, 200, 400])
})

test('the backoff has a ceiling', () => {
  expect(backoffDelay(policy, 50, 0.999_999)).toBe(1_000)
})

test('a job that names a host goes to the queue only that host listens on', () => {
  expect(queueOf({ device: 'cuda' })).toBe('cuda')
  expect(queueOf({ device: 'cpu', host: null })).toBe('cpu')
  expect(queueOf({ device: 'cpu', host: 'hst_1' })).toBe(hostQueue('hst_1'))
})

import { Counter, Gauge, Histogram } from '@prometheus-io/client'
import type { Registry } from '../telemetry.ts'

export interface JobMetrics {
  /** Attempts that ended, by the name of their outcome. */
  readonly attempts: Counter<'outcome'>
  readonly attemptSeconds: Histogram<'outcome'>
  /** From the job's creation to its claim. */
  readonly waitSeconds: Histogram
  readonly slots: Gauge
  readonly slotsBusy: Gauge
  /** Jobs that wait, by queue, in all of the installation: the same in every process. */
  readonly queueDepth: Gauge<'queue'>
  /** What the reconciler put right, by kind. */
  readonly reconciled: Counter<'action'>
  readonly webhookDeliveries: Counter<'outcome'>
}

const durations = [0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600]

/** Registers the metrics of workers, reconciler and webhooks on a registry, once per registry. */
export function createJobMetrics(registry: Registry): JobMetrics {
  const registers = [registry]
  return {
    attempts: new Counter({
      name: 'hasten_job_attempts_total',
      help: 'Job attempts that ended, by outcome',
      labelNames: ['outcome'],
      registers,
    }),
    attemptSeconds: new Histogram({
      name: 'hasten_job_attempt_seconds',
      help: 'Duration of job attempts, by outcome',
      labelNames: ['outcome'],
      buckets: durations,
      registers,
    }),
    waitSeconds: new Histogram({
      name: 'hasten_job_wait_seconds',
      help: 'Time from the creation of a job to its claim',
      buckets: durations,
      registers,
    }),
    slots: new Gauge({ name: 'hasten_worker_slots', help: 'Jobs this worker can run at once', registers }),
    slotsBusy: new Gauge({ name: 'hasten_worker_slots_busy', help: 'Jobs this worker runs', registers }),
    queueDepth: new Gauge({ name: 'hasten_queue_depth', help: 'Jobs that wait', labelNames: ['queue'], registers }),
    reconciled: new Counter({
      name: 'hasten_jobs_reconciled_total',
      help: 'Jobs the reconciler put right, by action',
      labelNames: ['action'],
      registers,
    }),
    webhookDeliveries: new Counter({
      name: 'hasten_webhook_deliveries_total',
      help: 'Webhook requests, by outcome',
      labelNames: ['outcome'],
      registers,
    }),
  }
}

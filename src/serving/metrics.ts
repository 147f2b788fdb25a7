import { Counter, Gauge } from '@prometheus-io/client'
import type { Registry } from '../telemetry.ts'
import type { Catalog, ServedVersion } from './served-version.ts'
import type { StatisticsSnapshot } from './statistics.ts'

const labelNames = ['model', 'version'] as const
const nanosecondsPerMicrosecond = 1000
const microseconds = (ns: number) => Math.round(ns / nanosecondsPerMicrosecond)

interface CounterRow {
  readonly help: string
  readonly read: (statistics: StatisticsSnapshot) => number
}

/** Triton's names, so that its dashboards and tools work. */
const counters: Readonly<Record<string, CounterRow>> = {
  nv_inference_request_success: { help: 'Requests answered', read: ({ success }) => success.count },
  nv_inference_count: { help: 'Inferences, a batch of n being n', read: ({ inferences }) => inferences },
  nv_inference_exec_count: { help: 'Runs of the model', read: ({ executions }) => executions },
  nv_inference_request_duration_us: { help: 'Time of requests', read: ({ success }) => microseconds(success.ns) },
  nv_inference_queue_duration_us: { help: 'Time in the queue', read: ({ queue }) => microseconds(queue.ns) },
  nv_inference_compute_input_duration_us: { help: 'Time of decoding', read: ({ input }) => microseconds(input.ns) },
  nv_inference_compute_infer_duration_us: { help: 'Time of running', read: ({ infer }) => microseconds(infer.ns) },
  nv_inference_compute_output_duration_us: { help: 'Time of encoding', read: ({ output }) => microseconds(output.ns) },
}

/** Registers the metrics of the data plane; they are computed when scraped and cost a request nothing. */
export function registerServingMetrics(metrics: Registry, catalog: Catalog): void {
  const registers = [metrics]
  for (const [name, { help, read }] of Object.entries(counters)) {
    const counter = new Counter({
      name,
      help,
      labelNames,
      registers,
      collect: () => {
        counter.reset()
        for (const model of catalog.all()) counter.inc(labelsOf(model), read(model.statistics.snapshot()))
      },
    })
  }
  registerFailures(registers, catalog)
  const pending = new Gauge({
    name: 'nv_inference_pending_request_count',
    help: 'Requests that wait for a run',
    labelNames,
    registers,
    collect: () => {
      pending.reset()
      for (const model of catalog.all()) pending.set(labelsOf(model), model.lane.state().queued)
    },
  })
}

function registerFailures(registers: Registry[], catalog: Catalog): void {
  const failures = new Counter({
    name: 'nv_inference_request_failure',
    help: 'Requests that failed, by reason',
    labelNames: [...labelNames, 'reason'],
    registers,
    collect: () => {
      failures.reset()
      for (const model of catalog.all()) {
        const { failures: byReason } = model.statistics.snapshot()
        for (const [reason, count] of Object.entries(byReason)) failures.inc({ ...labelsOf(model), reason }, count)
      }
    },
  })
}

function labelsOf({ name, version }: ServedVersion): { model: string; version: string } {
  return { model: name, version }
}

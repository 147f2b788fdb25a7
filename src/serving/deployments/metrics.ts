import { Counter, Gauge } from '@prometheus-io/client'
import type { Registry } from '../../telemetry.ts'
import { statusesOf, type Entry } from './entry.ts'
import type { Loader } from './loader.ts'
import { slotStates } from './slot.ts'

/** Registers what tells whether the models of a process fit its memory; computed when scraped. */
export function registerDeploymentMetrics(
  metrics: Registry,
  entries: ReadonlyMap<string, Entry>,
  loader: Pick<Loader, 'bytes' | 'counts'>,
): void {
  const registers = [metrics]
  const bytes = new Gauge({
    name: 'hasten_model_bytes',
    help: 'Bytes of the model files in memory',
    registers,
    collect: () => {
      bytes.set(loader.bytes())
    },
  })
  const versions = new Gauge({
    name: 'hasten_model_versions',
    help: 'Versions of deployments, by what this process holds of them',
    labelNames: ['state'],
    registers,
    collect: () => {
      for (const state of slotStates) versions.set({ state }, 0)
      for (const entry of entries.values()) for (const { state } of statusesOf(entry)) versions.inc({ state })
    },
  })
  const loads = new Counter({
    name: 'hasten_model_loads_total',
    help: 'Loads of versions, also those that followed an unload',
    labelNames: ['outcome'],
    registers,
    collect: () => {
      loads.reset()
      for (const [outcome, count] of Object.entries(loader.counts())) loads.inc({ outcome }, count)
    },
  })
}

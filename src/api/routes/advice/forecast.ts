import {
  forecastKeys,
  forecastNothing,
  forecastTechniques,
  hostDigest,
  type AdviceHost,
  type KernelForecast,
  type Layer,
} from '../../../engine/schemas.ts'
import { HastenError } from '../../../errors.ts'
import type { HostRow, ModelRow } from '../../../storage/index.ts'
import type { ApiContext } from '../../context.ts'
import { readLayers } from './layers.ts'

/** A live worker as advice sees it. */
export interface AdvisedHost extends AdviceHost {
  readonly id: string
  /** Names the hosts of its kind at the threads asked for; undefined for one that does not say what it is. */
  readonly digest: string | undefined
}

/** What a worker says of itself; one that says nothing has no features to count on. */
export function readHost({ id, inventory }: HostRow, device: string, threads: number): AdvisedHost {
  const { model, isa, cores = 1 } = (inventory['cpu'] ?? {}) as { model?: string; isa?: string[]; cores?: number }
  const { version } = (inventory['ort'] ?? {}) as { version?: string }
  const isKnown = model !== undefined && isa !== undefined && version !== undefined
  const digest = isKnown ? hostDigest({ cpu: model, isa, ort: version, threads }) : undefined
  return { id, device, isa: isa ?? [], cores, digest }
}

export interface Forecasts {
  /** The host they are for: of those that were offered, the first whose kind measured kernels of the model. */
  readonly host: AdvisedHost | undefined
  readonly forecasts: ReadonlyMap<string, KernelForecast>
}

/** What kernel times that workers shared tell of each technique, or why they tell nothing. Never fails for the model. */
export async function forecast(
  context: ApiContext,
  model: ModelRow,
  hosts: readonly AdvisedHost[],
  batch: number,
): Promise<Forecasts> {
  const [first] = hosts
  const nothing = (reason: string) => ({ host: first, forecasts: forecastNothing(reason) })
  if (first === undefined) return nothing('No live worker of this device class: start one and run a job.')
  if (first.device !== 'cpu') return nothing('Kernels are timed on CPUs only: only a job tells.')
  try {
    return await lookUp(context, await readLayers(context, model, batch), first, hosts)
  } catch (error) {
    if (!(error instanceof HastenError)) throw error
    return nothing(`The model's kernels could not be read: ${error.message}`)
  }
}

async function lookUp(
  { storage }: ApiContext,
  layers: readonly Layer[],
  first: AdvisedHost,
  hosts: readonly AdvisedHost[],
): Promise<Forecasts> {
  const keys = forecastKeys(layers)
  const seen = new Set<string>()
  for (const host of hosts) {
    if (host.digest === undefined || seen.has(host.digest)) continue
    seen.add(host.digest)
    const forecasts = forecastTechniques(layers, await storage.kernelTimes.find(host.digest, keys))
    if ([...forecasts.values()].some(({ kernels }) => kernels.measured > 0)) return { host, forecasts }
  }
  return { host: first, forecasts: forecastTechniques(layers, {}) }
}

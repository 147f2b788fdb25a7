import type { Runtime, Session } from '../../engine/index.ts'
import type { OptimizeTarget } from './input.ts'

/** Where a job really ran. */
export interface Placement {
  readonly host: string
  readonly device: OptimizeTarget['device']
  /** The execution provider that was asked for and took part, for example `CUDAExecutionProvider`. */
  readonly provider: string
  /** Nodes that ran on the CPU although a device was asked for; null where the runtime can't tell. */
  readonly fallback_nodes: number | null
  readonly ort: string
  readonly isa: readonly string[]
  /** Logical CPUs of the slot; null when it isn't pinned. */
  readonly cpus: readonly number[] | null
  readonly gpu: number | null
}

export interface PlacementFacts {
  readonly hostId: string
  readonly target: OptimizeTarget
  readonly runtime: Pick<Runtime, 'version'>
  readonly isa: readonly string[]
  readonly slot: { readonly cpus: readonly number[] | undefined; readonly gpu: number | undefined }
}

const cpuProvider = 'CPUExecutionProvider'

/** Reads a loaded session: which provider it runs on, and how much of the model fell back to the CPU. */
export function describePlacement(
  session: Pick<Session, 'providers' | 'nodeCounts'>,
  facts: PlacementFacts,
): Placement {
  const { hostId, target, runtime, isa, slot } = facts
  return {
    host: hostId,
    device: target.device,
    provider: session.providers[0] ?? cpuProvider,
    fallback_nodes: countFallback(session, target),
    ort: runtime.version,
    isa,
    cpus: slot.cpus ?? null,
    gpu: slot.gpu ?? null,
  }
}

function countFallback({ nodeCounts }: Pick<Session, 'nodeCounts'>, { device }: OptimizeTarget): number | null {
  if (device === 'cpu') return 0
  return nodeCounts === undefined ? null : (nodeCounts[cpuProvider] ?? 0)
}

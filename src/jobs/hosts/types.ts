import type { DeviceClass } from '../queues.ts'

export interface GpuInfo {
  readonly index: number
  readonly name: string
  readonly uuid: string
  readonly memoryBytes: number
  readonly driver: string
  /** For example `8.9`. */
  readonly computeCapability: string
}

/** What a worker host has, as it says itself when it starts. */
export interface HostInventory {
  readonly cpu: {
    readonly model: string
    readonly architecture: string
    /** Instruction sets that decide which kernels the runtime picks, for example `avx512_vnni`. */
    readonly isa: readonly string[]
    /** Logical CPUs this process may use: affinity, then the cgroup's quota. */
    readonly cores: number
    readonly affinity: readonly number[]
  }
  readonly memoryBytes: number
  readonly gpus: readonly GpuInfo[]
  readonly ort: { readonly version: string; readonly providers: readonly string[] }
  /** How a slot's CPU set is kept: by `taskset`, or not at all. */
  readonly pinning: 'taskset' | 'none'
  readonly devices: readonly DeviceClass[]
  readonly platform: string
  readonly node: string
}

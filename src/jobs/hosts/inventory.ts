import { access, constants } from 'node:fs/promises'
import { platform, release } from 'node:os'
import type { DeviceClass } from '../queues.ts'
import { usableCores, usableMemory } from './cgroup.ts'
import { cpuAffinity, describeCpu } from './cpu.ts'
import { listGpus } from './gpu.ts'
import type { GpuInfo, HostInventory } from './types.ts'

/** Version and providers of the runtime this host runs models with. */
export interface RuntimeFacts {
  readonly version: string
  readonly providers: readonly string[]
}

/** Asks the machine what it has: CPU and instruction sets, cores and memory by cgroup, GPUs, and the runtime. */
export async function takeInventory(ort: RuntimeFacts): Promise<HostInventory> {
  const [cpu, affinity, memoryBytes, gpus, taskset] = await Promise.all([
    describeCpu(),
    cpuAffinity(),
    usableMemory(),
    listGpus(),
    findTaskset(),
  ])
  const cores = await usableCores(undefined, affinity.length)
  return {
    cpu: { ...cpu, cores, affinity },
    memoryBytes,
    gpus,
    ort,
    pinning: taskset === undefined ? 'none' : 'taskset',
    devices: devicesOf(gpus, ort.providers),
    platform: `${platform()} ${release()}`,
    node: process.version,
  }
}

/** A host offers CUDA only when it has a GPU and a runtime that was built with the provider. */
export function devicesOf(gpus: readonly GpuInfo[], providers: readonly string[]): DeviceClass[] {
  const offersCuda = gpus.length > 0 && providers.some((name) => name.toLowerCase().startsWith('cuda'))
  return offersCuda ? ['cpu', 'cuda'] : ['cpu']
}

/** Absolute path of `taskset` where the system has it (Linux, from util-linux). */
export async function findTaskset(candidates = ['/usr/bin/taskset', '/bin/taskset']): Promise<string | undefined> {
  const found = await Promise.all(
    candidates.map(async (path) =>
      access(path, constants.X_OK).then(
        () => path,
        () => undefined,
      ),
    ),
  )
  return found.find((path) => path !== undefined)
}

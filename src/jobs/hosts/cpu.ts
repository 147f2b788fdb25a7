import { execFile } from 'node:child_process'
import { arch, availableParallelism, cpus, platform } from 'node:os'
import { promisify } from 'node:util'
import { readOptional } from './cgroup.ts'

const run = promisify(execFile)

/** Flags by which runtimes choose kernels, in the kernel's spelling; the rest of the list says nothing about speed. */
const relevantFlags = new Set(
  `sse4_1 sse4_2 avx avx2 f16c fma avx512f avx512bw avx512vl avx512_vnni avx512_bf16 avx512_fp16 avx_vnni
  amx_tile amx_int8 amx_bf16 asimd asimdhp asimddp i8mm bf16 sve sve2`.split(/\s+/),
)

/** How macOS names the same instruction sets. */
const sysctlFlags: Readonly<Record<string, string>> = {
  'hw.optional.AdvSIMD': 'asimd',
  'hw.optional.arm.FEAT_DotProd': 'asimddp',
  'hw.optional.arm.FEAT_FP16': 'asimdhp',
  'hw.optional.arm.FEAT_I8MM': 'i8mm',
  'hw.optional.arm.FEAT_BF16': 'bf16',
  'hw.optional.avx2_0': 'avx2',
  'hw.optional.avx512f': 'avx512f',
  'hw.optional.avx512vnni': 'avx512_vnni',
}

export interface CpuInfo {
  readonly model: string
  readonly architecture: string
  readonly isa: readonly string[]
}

export async function describeCpu(): Promise<CpuInfo> {
  const info = platform() === 'linux' ? parseCpuinfo((await readOptional('/proc/cpuinfo')) ?? '') : await readSysctl()
  return { model: info.model ?? cpus()[0]?.model.trim() ?? 'unknown', architecture: arch(), isa: info.isa }
}

/** Reads the first processor of `/proc/cpuinfo` (x86 calls the line `flags`, ARM `Features`). */
export function parseCpuinfo(text: string): { model?: string; isa: string[] } {
  const field = (name: RegExp) => name.exec(text)?.[1]?.trim()
  const flags = field(/^(?:flags|Features)\s*:(.*)$/m)?.split(/\s+/) ?? []
  const model = field(/^model name\s*:(.*)$/m)
  const isa = flags.filter((flag) => relevantFlags.has(flag))
  return model === undefined ? { isa } : { model, isa }
}

async function readSysctl(): Promise<{ model?: string; isa: string[] }> {
  if (platform() !== 'darwin') return { isa: [] }
  const { stdout } = await run('/usr/sbin/sysctl', ['hw.optional', 'machdep.cpu.brand_string'])
  return parseSysctl(stdout)
}

/** Reads the output of `sysctl hw.optional machdep.cpu.brand_string`. */
export function parseSysctl(text: string): { model?: string; isa: string[] } {
  const rows = new Map(text.split('\n').map((line) => line.split(': ', 2) as [string, string]))
  const isa = Object.entries(sysctlFlags).flatMap(([key, flag]) => (rows.get(key) === '1' ? [flag] : []))
  const model = rows.get('machdep.cpu.brand_string')
  return model === undefined ? { isa } : { model, isa }
}

/** CPU numbers this process may run on; counted from 0 where the system doesn't say. */
export async function cpuAffinity(): Promise<number[]> {
  const status = await readOptional('/proc/self/status')
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status ?? '')?.[1]
  return list === undefined ? Array.from({ length: availableParallelism() }, (_, cpu) => cpu) : parseCpuList(list)
}

/** `0-2,5` → [0, 1, 2, 5]. */
export function parseCpuList(list: string): number[] {
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, index) => first + index)
  })
}

import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { cpuQuota, usableCores, usableMemory } from '../../../src/jobs/hosts/cgroup.ts'
import { parseCpuinfo, parseCpuList, parseSysctl } from '../../../src/jobs/hosts/cpu.ts'
import { listGpus, parseGpus } from '../../../src/jobs/hosts/gpu.ts'
import { readHostId } from '../../../src/jobs/hosts/host-id.ts'
import { devicesOf, takeInventory } from '../../../src/jobs/hosts/inventory.ts'

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'hasten-hosts-'))
})
afterAll(async () => rm(dir, { recursive: true, force: true }))

async function cgroup(files: Record<string, string>): Promise<string> {
  const root = await mkdtemp(join(dir, 'cgroup-'))
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(root, name, '..'), { recursive: true })
    await writeFile(join(root, name), text)
  }
  return root
}

describe('cgroup', () => {
  test('version 2: quota over period, and no quota', async () => {
    expect(await cpuQuota(await cgroup({ 'cpu.max': '250000 100000\n' }))).toBe(2.5)
    expect(await cpuQuota(await cgroup({ 'cpu.max': 'max 100000\n' }))).toBeUndefined()
  })

  test('version 1: -1 is no quota', async () => {
    const quota = (us: string) => ({ 'cpu/cpu.cfs_quota_us': us, 'cpu/cpu.cfs_period_us': '50000\n' })
    expect(await cpuQuota(await cgroup(quota('100000\n')))).toBe(2)
    expect(await cpuQuota(await cgroup(quota('-1\n')))).toBeUndefined()
  })

  test('cores are whole, at least one, at most what the affinity allows', async () => {
    expect(await usableCores(await cgroup({ 'cpu.max': '250000 100000' }), 8)).toBe(2)
    expect(await usableCores(await cgroup({ 'cpu.max': '50000 100000' }), 8)).toBe(1)
    expect(await usableCores(await cgroup({ 'cpu.max': '1600000 100000' }), 4)).toBe(4)
    expect(await usableCores(await cgroup({}), 4)).toBe(4)
  })

  test('memory is the lower of limit and machine', async () => {
    expect(await usableMemory(await cgroup({ 'memory.max': '1000\n' }), 5_000)).toBe(1_000)
    expect(await usableMemory(await cgroup({ 'memory.max': 'max\n' }), 5_000)).toBe(5_000)
    const v1 = await cgroup({ 'memory/memory.limit_in_bytes': '9223372036854771712\n' })
    expect(await usableMemory(v1, 5_000)).toBe(5_000)
  })
})

describe('CPU', () => {
  test('x86 flags that decide about kernels', () => {
    const text =
      'processor : 0\nmodel name : Xeon\nflags : fpu sse4_2 avx2 avx512f avx512_vnni hypervisor\n\nprocessor : 1\n'
    expect(parseCpuinfo(text)).toEqual({ model: 'Xeon', isa: ['sse4_2', 'avx2', 'avx512f', 'avx512_vnni'] })
  })

  test('Arm calls them Features and names no model', () => {
    expect(parseCpuinfo('Features : fp asimd asimddp i8mm\n')).toEqual({ isa: ['asimd', 'asimddp', 'i8mm'] })
  })

  test('macOS', () => {
    const text = 'hw.optional.arm.FEAT_I8MM: 1\nhw.optional.arm.FEAT_BF16: 0\nmachdep.cpu.brand_string: Apple M2\n'
    expect(parseSysctl(text)).toEqual({ model: 'Apple M2', isa: ['i8mm'] })
  })

  test('CPU lists', () => {
    expect(parseCpuList('0-2,5,8-9')).toEqual([0, 1, 2, 5, 8, 9])
  })
})

describe('GPUs', () => {
  const row = '0, NVIDIA L4, GPU-2b1f, 23034, 570.86.10, 8.9\n'

  test('rows of nvidia-smi', () => {
    expect(parseGpus(row)).toEqual([
      {
        index: 0,
        name: 'NVIDIA L4',
        uuid: 'GPU-2b1f',
        memoryBytes: 23034 * 2 ** 20,
        driver: '570.86.10',
        computeCapability: '8.9',
      },
    ])
    expect(parseGpus('\n')).toEqual([])
  })

  test('no such command means no GPU; one that fails in another way is an error', async () => {
    expect(await listGpus(join(dir, 'no-such-command'))).toEqual([])
    await expect(listGpus('false')).rejects.toMatchObject({ code: 'internal' })
  })

  test.each([6, 9, 12])('exit code %i means no usable GPU', async (code) => {
    const path = join(dir, `smi-${code}`)
    await writeFile(path, `#!/bin/sh\nexit ${code}\n`, { mode: 0o755 })
    expect(await listGpus(path)).toEqual([])
  })

  test('CUDA is offered only by a host with a GPU and a runtime with the provider', () => {
    const gpus = parseGpus(row)
    expect(devicesOf(gpus, ['cuda', 'cpu'])).toEqual(['cpu', 'cuda'])
    expect(devicesOf(gpus, ['CUDAExecutionProvider'])).toEqual(['cpu', 'cuda'])
    expect(devicesOf(gpus, ['cpu'])).toEqual(['cpu'])
    expect(devicesOf([], ['cuda'])).toEqual(['cpu'])
  })
})

test('the inventory of this host is complete', async () => {
  const inventory = await takeInventory({ version: '1.30.0', providers: ['cpu'] })
  expect(inventory.cpu.cores).toBeGreaterThanOrEqual(1)
  expect(inventory.cpu.affinity.length).toBeGreaterThanOrEqual(inventory.cpu.cores)
  expect(inventory.memoryBytes).toBeGreaterThan(2 ** 27)
  expect(inventory.devices).toContain('cpu')
  expect(inventory.ort.version).toBe('1.30.0')
})

describe('host id', () => {
  test('is made once and kept', async () => {
    const path = join(dir, 'deep', 'host-id')
    const id = await readHostId(path)
    expect(id).toMatch(/^hst_[0-9a-z]{26}$/)
    expect(await readHostId(path)).toBe(id)
    expect(await readFile(path, 'utf8')).toBe(`${id}\n`)
  })

  test('a file with something else in it is an error', async () => {
    const path = join(dir, 'wrong-id')
    await writeFile(path, 'job_1')
    await expect(readHostId(path)).rejects.toMatchObject({ code: 'config_invalid' })
  })
})

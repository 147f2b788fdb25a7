import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { HastenError, messageOf } from '../../errors.ts'
import type { GpuInfo } from './types.ts'

const run = promisify(execFile)
const mebibyte = 1024 * 1024
const query = 'index,name,uuid,memory.total,driver_version,compute_cap'

/** Exit codes of nvidia-smi on a host without a usable GPU: no device, no driver, no NVML library. */
const noGpuCodes: readonly unknown[] = ['ENOENT', 6, 9, 12]

/**
 * NVIDIA GPUs by `nvidia-smi`; none where there is no such command, driver or card.
 * @throws HastenError `internal` when the command fails in any other way
 */
export async function listGpus(command = 'nvidia-smi'): Promise<GpuInfo[]> {
  try {
    const { stdout } = await run(command, [`--query-gpu=${query}`, '--format=csv,noheader,nounits'], {
      timeout: 10_000,
    })
    return parseGpus(stdout)
  } catch (error) {
    if (noGpuCodes.includes((error as { code?: unknown }).code)) return []
    throw new HastenError('internal', `nvidia-smi: ${messageOf(error)}`, { cause: error })
  }
}

/** Rows of `--query-gpu` in CSV without header and units; memory is in MiB. */
export function parseGpus(csv: string): GpuInfo[] {
  const rows = csv.split('\n').filter((line) => line.trim() !== '')
  return rows.map((row) => {
    const [index = '', name = '', uuid = '', memory = '', driver = '', computeCapability = ''] = row.split(/\s*,\s*/)
    return {
      index: Number(index),
      name,
      uuid,
      memoryBytes: Number(memory) * mebibyte,
      driver,
      computeCapability: computeCapability.trim(),
    }
  })
}

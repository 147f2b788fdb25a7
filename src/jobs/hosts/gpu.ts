import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { HastenError, messageOf } from '../../errors.ts'
import type { GpuInfo } from './types.ts'

const run = promisify(execFile)
const mebibyte = 1024 * 1024
const query = 'index,name,uuid,memory.total,driver_version,compute_cap'

/** NVIDIA GPUs by `nvidia-smi`; none where there is no such command. */
export async function listGpus(command = 'nvidia-smi'): Promise<GpuInfo[]> {
  try {
    const { stdout } = await run(command, [`--query-gpu=${query}`, '--format=csv,noheader,nounits'], {
      timeout: 10_000,
    })
    return parseGpus(stdout)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    // The command without a driver or a card: a host with no usable GPU, and worth saying so.
    if (/couldn't communicate|No devices were found|failed/i.test(messageOf(error))) return []
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

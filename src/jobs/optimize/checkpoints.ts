import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import type { CheckpointStore } from '../../engine/index.ts'
import { retryUnavailable } from '../retry-unavailable.ts'
import type { OptimizeContext } from './context.ts'
import { mustOwn } from './superseded.ts'

/**
 * Keeps what a training can go on from with the job: another attempt, on this host or another, finds it. The blob is
 * written first; only an attempt that owns the job can make it the job's.
 */
export function openCheckpoints({ storage, fence, signal, checkpointMs }: OptimizeContext): CheckpointStore {
  const { artifacts, jobs } = storage
  const patiently = async <T>(work: () => Promise<T>) => retryUnavailable(work, { forMs: 60_000, signal })
  return {
    everyMs: checkpointMs,
    async find(key) {
      const file = await patiently(async () => jobs.findCheckpoint(fence))
      if (file?.name !== key) return undefined
      return new Uint8Array(await patiently(async () => buffer(artifacts.read(file.sha256))))
    },
    async put(key, bytes) {
      const limits = { maxBytes: bytes.byteLength, signal }
      const blob = await patiently(async () => artifacts.write(Readable.from([bytes]), limits))
      mustOwn(await patiently(async () => jobs.keepCheckpoint(fence, { name: key, ...blob })))
    },
  }
}

import type { Logger } from '../../telemetry.ts'
import type { Storage } from '../../storage/index.ts'
import type { CaptureSink, Sample } from './capture.ts'

interface SinkDeps {
  readonly captured: Pick<Storage['captured'], 'add'>
  readonly logger: Logger
  /** Between two writes; default 1 s. */
  readonly flushMs?: number
}

/** The samples of one deployment on their way to the database. */
export interface StoringSink extends CaptureSink {
  /** So many samples are kept from now on. */
  limit(maxSamples: number): void
  /** Writes what is here. */
  flush(): Promise<void>
}

const mebibyte = 2 ** 20
/** Of all samples of a deployment, and of those on their way in one process. */
const maxStoredBytes = 512 * mebibyte
const maxPendingBytes = 32 * mebibyte
/** The largest key is taken for known this long: somebody may have dropped samples, or another process. */
const cutMs = 30_000

export function createCaptureSink(deployment: string, { captured, logger, flushMs = 1000 }: SinkDeps): StoringSink {
  let pending: Sample[] = []
  let pendingBytes = 0
  let maxSamples = 0
  let cut = { key: 1, at: 0 }
  let timer: NodeJS.Timeout | undefined
  let writing = Promise.resolve()

  async function write(): Promise<void> {
    const samples = pending
    pending = []
    if (samples.length === 0) return
    try {
      const bounds = { maxSamples, maxBytes: maxStoredBytes }
      // Without its deployment nothing more is worth keeping.
      const key = (await captured.add(deployment, samples.map(toStored), bounds)) ?? 0
      cut = { key, at: performance.now() }
    } catch (error) {
      logger.warn({ err: error, deployment, samples: samples.length }, 'captured samples were lost')
    } finally {
      pendingBytes -= samples.reduce((sum, sample) => sum + bytesOf(sample), 0)
    }
  }
  async function flush(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    // One after the other, so that the end of this one is the end of all.
    writing = writing.then(write)
    return writing
  }
  return {
    cut: () => (performance.now() - cut.at < cutMs ? cut.key : 1),
    reserve(bytes) {
      if (pendingBytes + bytes > maxPendingBytes) return false
      pendingBytes += bytes
      return true
    },
    add(samples, reserved) {
      pending.push(...samples)
      pendingBytes -= reserved - samples.reduce((sum, sample) => sum + bytesOf(sample), 0)
      if (pending.length > 0) timer ??= setTimeout(() => void flush(), flushMs).unref()
    },
    limit(samples) {
      if (samples > maxSamples) cut = { key: 1, at: 0 }
      maxSamples = samples
    },
    flush,
  }
}

function toStored({ key, arrays }: Sample) {
  return {
    key,
    arrays: arrays.map(({ name, dtype, dims }) => ({ name, dtype, dims })),
    data: Buffer.concat(arrays.map(({ bytes }) => bytes)),
  }
}

function bytesOf({ arrays }: Sample): number {
  return arrays.reduce((sum, { bytes }) => sum + bytes.length, 0)
}

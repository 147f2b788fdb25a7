import koffi from 'koffi'

/** Gives memory that native code has freed back to the system. */
interface HeapTrimmer {
  /** Some time after now, once for many calls: loading a model frees as much as it keeps. */
  trimSoon(): void
  close(): void
}

const quietMs = 1000

/**
 * The C library keeps what is freed between blocks in use, which after many small models was as much again as their
 * weights. Only glibc has the call for it (malloc_trim(3)); elsewhere nothing is done.
 */
export function createHeapTrimmer(): HeapTrimmer {
  const trim = findTrim()
  let timer: NodeJS.Timeout | undefined
  return {
    trimSoon() {
      if (trim === undefined) return
      clearTimeout(timer)
      timer = setTimeout(trim, quietMs).unref()
    },
    close: () => clearTimeout(timer),
  }
}

function findTrim(): (() => void) | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    const native = koffi.load('libc.so.6').func('int malloc_trim(size_t)')
    // On a thread of libuv's pool: a large heap takes milliseconds. Whether there was something to give back is no matter.
    return () => native.async(0, () => undefined)
  } catch {
    return undefined
  }
}

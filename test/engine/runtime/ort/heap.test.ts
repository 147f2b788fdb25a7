import { readFileSync } from 'node:fs'
import koffi from 'koffi'
import { expect, onTestFinished, test } from 'vitest'
import { createHeapTrimmer } from '../../../../src/engine/runtime/ort/heap.ts'

const mebibyte = 2 ** 20
const blockBytes = 16 * 1024
const blocks = 4096

// Nothing but glibc has the call; elsewhere there is nothing to test.
const isGlibc = process.platform === 'linux' && 'glibcVersionRuntime' in (process.report.getReport() as Report).header

interface Report {
  readonly header: object
}

function residentBytes(): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024
}

test.runIf(isGlibc)('what native code has freed goes back to the system', async () => {
  const libc = koffi.load('libc.so.6')
  const allocate = libc.func('void *malloc(size_t)') as (bytes: number) => bigint
  const fill = libc.func('void *memset(void *, int, size_t)') as (at: bigint, byte: number, bytes: number) => void
  const free = libc.func('void free(void *)') as (at: bigint) => void
  const taken = Array.from({ length: blocks }, () => allocate(blockBytes))
  for (const block of taken) fill(block, 1, blockBytes)
  // In use above all others, so that freeing these leaves a gap.
  const above = allocate(blockBytes)
  onTestFinished(() => free(above))
  for (const block of taken) free(block)

  const before = residentBytes()
  const trimmer = createHeapTrimmer()
  onTestFinished(() => trimmer.close())
  trimmer.trimSoon()
  await expect.poll(() => before - residentBytes(), { timeout: 20_000, interval: 200 }).toBeGreaterThan(32 * mebibyte)
})

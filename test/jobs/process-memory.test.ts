import { expect, test } from 'vitest'
import { residentMemory, residentOfStatus, residentOfTable } from '../../src/jobs/process-memory.ts'

test('mapped files are left out: the kernel can drop them', () => {
  const status = 'VmRSS:\t  900 kB\nRssAnon:\t  300 kB\nRssFile:\t  500 kB\nRssShmem:\t  100 kB\n'
  expect(residentOfStatus(status)).toBe(400 * 1024)
})

test('ps rows are summed over the process and everything below it', () => {
  const table = '  1  0  10\n 20  1  30\n 21 20  40\n 22 21  50\n 30  1  60\n'
  expect(residentOfTable(table, 20)).toBe((30 + 40 + 50) * 1024)
  expect(residentOfTable(table, 99)).toBe(0)
})

test('a process that holds memory is seen to hold it, and one that is gone holds none', async () => {
  const before = await residentMemory(process.pid)
  const held = Buffer.alloc(64 * 1024 * 1024, 1)
  expect((await residentMemory(process.pid)) - before).toBeGreaterThan(held.byteLength / 2)
  expect(await residentMemory(2 ** 22 - 1)).toBe(0)
})

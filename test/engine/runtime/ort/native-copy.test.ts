import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import koffi from 'koffi'
import { expect, test } from 'vitest'
import { createCopier } from '../../../../src/engine/runtime/ort/native-copy.ts'

test('copies native arrays of several lengths', () => {
  const dims = BigInt64Array.from({ length: 24 }, (_, axis) => BigInt(axis - 3))
  const address = koffi.address(dims)
  const copyDims = createCopier<BigInt64Array>('int64_t')
  const copyBytes = createCopier<Uint8Array>('uint8_t')
  const [two, three, again] = [2, 3, 2].map((length) => copyDims(address, length))
  dims.fill(9n)
  expect([two, three, again]).toEqual([
    BigInt64Array.of(-3n, -2n),
    BigInt64Array.of(-3n, -2n, -1n),
    BigInt64Array.of(-3n, -2n),
  ])
  expect(copyBytes(address, 9)).toEqual(Uint8Array.of(9, 0, 0, 0, 0, 0, 0, 0, 9))
})

// What was left of each copy before was 18 bytes: 27 MiB here.
const copies = 1_500_000
const script = `
import koffi from 'koffi'
import { setImmediate as turn } from 'node:timers/promises'
import { createCopier } from ${JSON.stringify(fileURLToPath(import.meta.resolve('../../../../src/engine/runtime/ort/native-copy.ts')))}
const memory = new Uint8Array(new ArrayBuffer(64))
const address = koffi.address(memory)
const copy = createCopier('uint8_t')
const run = async (count) => {
  for (let index = 0; index < count; index++) {
    copy(address, 1 + (index % 64))
    if (index % 10_000 === 0) await turn()
  }
  gc()
  return process.memoryUsage.rss()
}
const before = await run(${copies / 2})
process.stdout.write(String((await run(${copies})) - before))
`

test('leaves nothing behind', () => {
  const flags = ['--expose-gc', '--input-type=module', '--eval', script]
  const grown = Number(execFileSync(process.execPath, flags, { encoding: 'utf8' }))
  expect(grown / 2 ** 20).toBeLessThan(10)
})

import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openCrashGuard } from '../../../src/serving/deployments/crash-guard.ts'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'hasten-crashes-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

const module = path.resolve(import.meta.dirname, '../../../src/serving/deployments/crash-guard.ts')
/** A process in which `versions` of a deployment run when it ends, by a crash or as it should. */
const live = (versions: readonly number[], end = 'process.abort()') => {
  const script = `
    const { openCrashGuard } = await import(${JSON.stringify(module)})
    const guard = await openCrashGuard(${JSON.stringify(dir)})
    for (const version of [7, 8, 9]) {
      const marker = guard.mark('dep_1', version)
      marker.enter()
      if (!${JSON.stringify(versions)}.includes(version)) marker.leave()
    }
    ${end}`
  return new Promise<string | null>((resolve) => {
    const child = execFile(process.execPath, ['--input-type=module', '-e', script])
    child.on('exit', (_, signal) => resolve(signal))
  })
}
/** Which of the versions would be refused now. */
const refused = async () => {
  const guard = await openCrashGuard(dir)
  const codes = [7, 8, 9].filter((version) => {
    try {
      guard.check('dep_1', version)
      return false
    } catch (error) {
      expect(error).toMatchObject({ code: 'model_crashed' })
      return true
    }
  })
  guard.close()
  return codes
}

test('a version that ran at two deaths in a row is refused, and no other', async () => {
  expect(await live([7, 8])).toBe('SIGABRT')
  expect(await refused()).toEqual([])
  expect(await live([7])).toBe('SIGABRT')
  expect(await refused()).toEqual([7])
  await live([9])
  expect(await refused()).toEqual([7])
  await live([9])
  expect(await refused()).toEqual([7, 9])
})

test('a death between, in which another ran, acquits it; one in which nothing ran says nothing', async () => {
  await live([7])
  await live([8])
  await live([7])
  expect(await refused()).toEqual([])
  await live([])
  await live([7])
  expect(await refused()).toEqual([7])
})

test('a process that ends as it should leaves nothing, whatever ran', async () => {
  await live([7], 'guard.close()')
  await live([7], 'guard.close()')
  expect(await refused()).toEqual([])
  expect(readdirSync(dir)).toEqual([])
})

test('a death is counted once, however many processes start at a time', async () => {
  await live([7])
  const guards = await Promise.all([openCrashGuard(dir), openCrashGuard(dir), openCrashGuard(dir)])
  expect(() => guards[2].check('dep_1', 7)).not.toThrow()
  guards[0].close()
  await live([7])
  expect(await refused()).toEqual([7])
})

test('the record of a process that lives is left alone', async () => {
  await live([7])
  const running = await openCrashGuard(dir)
  running.mark('dep_1', 7).enter()
  // Another process of this host, and its death.
  await live([8])
  expect(readdirSync(dir).some((name) => name.startsWith(`running-${process.pid}-`))).toBe(true)
  running.close()
})

test('a deployment may be given another chance', async () => {
  await live([7])
  await live([7])
  const guard = await openCrashGuard(dir)
  expect(() => guard.check('dep_1', 7)).toThrow('the server died 2 times in a row')
  expect(() => guard.check('dep_2', 7)).not.toThrow()
  guard.forget('dep_1')
  expect(() => guard.check('dep_1', 7)).not.toThrow()
  guard.close()
  expect(await refused()).toEqual([])
})

test('suspects run one at a time, so that the next death has one culprit; others do not wait', async () => {
  await live([7, 8])
  const guard = await openCrashGuard(dir)
  const [first, second, other] = [7, 8, 9].map((version) => guard.mark('dep_1', version))
  const done = await first!.turn()!
  let isWaiting = true
  const waiting = second!.turn()!.then((release) => {
    isWaiting = false
    return release
  })
  expect(other!.turn()).toBeUndefined()
  await new Promise(setImmediate)
  expect(isWaiting).toBe(true)
  done()
  ;(await waiting)()
  guard.close()
})

import { setImmediate } from 'node:timers/promises'

import { expect, test } from 'vitest'

import { limitRuns } from '../../../src/engine/runtime/limit-runs.ts'

/** Tasks that end when told to, and the order in which they began. */
function createTasks() {
  const began: string[] = []
  const gates = new Map<string, PromiseWithResolvers<string>>()
  return {
    began,
    task: (name: string) => () => {
      began.push(name)
      const gate = Promise.withResolvers<string>()
      gates.set(name, gate)
      return gate.promise
    },
    end: async (name: string, error?: Error) => {
      if (error === undefined) gates.get(name)?.resolve(name)
      else gates.get(name)?.reject(error)
      await setImmediate()
    },
  }
}

test('begins no more than its limit, and the rest in order of arrival', async () => {
  const limit = limitRuns(2)
  const { began, task, end } = createTasks()
  const runs = ['a', 'b', 'c', 'd'].map((name) => limit.run(task(name)))
  await setImmediate()
  expect([began.join(''), limit.active, limit.waiting]).toEqual(['ab', 2, 2])

  await end('b')
  expect([began.join(''), limit.active, limit.waiting]).toEqual(['abc', 2, 1])
  await end('a')
  await end('c')
  await end('d')
  expect(await Promise.all(runs)).toEqual(['a', 'b', 'c', 'd'])
  expect([limit.active, limit.waiting]).toEqual([0, 0])
})

test('a place goes to who waits, not to who comes as it is freed', async () => {
  const limit = limitRuns(1)
  const { began, task, end } = createTasks()
  const first = limit.run(task('first'))
  const waiting = limit.run(task('waiting'))
  await setImmediate()
  const jumped = first.then(() => limit.run(task('late')))
  await end('first')
  expect(began).toEqual(['first', 'waiting'])
  await end('waiting')
  await end('late')
  await Promise.all([waiting, jumped])
  expect(began).toEqual(['first', 'waiting', 'late'])
})

test('a task that fails gives its place back', async () => {
  const limit = limitRuns(1)
  const { task, end } = createTasks()
  const failing = limit.run(task('failing'))
  const next = limit.run(task('next'))
  await setImmediate()
  await Promise.all([expect(failing).rejects.toThrow('broken'), end('failing', new Error('broken'))])
  await end('next')
  expect(await next).toBe('next')
  expect(limit.active).toBe(0)
})

test('an abort takes a waiting task out at once, without it ever beginning', async () => {
  const limit = limitRuns(1)
  const { began, task, end } = createTasks()
  const controller = new AbortController()
  const first = limit.run(task('first'))
  const given = limit.run(task('given up'), controller.signal)
  const last = limit.run(task('last'))
  controller.abort(new Error('gave up'))
  await expect(given).rejects.toThrow('gave up')
  expect(limit.waiting).toBe(1)
  await end('first')
  await end('last')
  await Promise.all([first, last])
  expect(began).toEqual(['first', 'last'])
  await expect(limit.run(task('never'), AbortSignal.abort(new Error('too late')))).rejects.toThrow('too late')
  expect(limit.active).toBe(0)
})

test.each([0, -1, Number.NaN])('a limit of %d is refused: nothing would ever begin', (max) => {
  expect(() => limitRuns(max)).toThrow(expect.objectContaining({ code: 'config_invalid' }))
})

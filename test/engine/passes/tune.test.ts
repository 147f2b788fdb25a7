import { expect, test } from 'vitest'
import type { PassOptions, SessionTiming } from '../../../src/engine/passes/pass.ts'
import { chooseFastest, listCandidates } from '../../../src/engine/passes/tune.ts'
import { decodedModel } from '../../support/models.ts'
import { applyPass, createContext, floats } from './support.ts'

const options: PassOptions<'tune'> = {
  threads: [],
  batch: [],
  optimizationLevels: ['extended', 'all'],
  spinning: [true, false],
  budgetMs: 500,
}
const model = decodedModel({
  inputs: { x: ['float32', ['n', 4]] },
  outputs: { y: ['float32', ['n', 4]] },
  initializers: { w: floats([4, 4], () => 1) },
  nodes: [['MatMul', ['x', 'w'], ['y']]],
})

const on = (threads?: number) => ({ target: { device: 'cpu', isa: [], ...(threads === undefined ? {} : { threads }) } })

test('what would run without tuning comes first, and no session comes twice', () => {
  const candidates = listCandidates({ ...options, threads: [1, 2] }, on(1))
  expect(candidates[0]).toEqual({ intraOpThreads: 1 })
  expect(new Set(candidates.map((each) => JSON.stringify(each))).size).toBe(candidates.length)
  // One thread: two levels. Two threads: two levels, spinning or not.
  expect(candidates).toHaveLength(2 + 4)
  expect(candidates.filter(({ intraOpThreads, spinning }) => intraOpThreads === 1 && spinning !== undefined)).toEqual(
    [],
  )
})

test('without thread counts only the target’s count is used', () => {
  expect(listCandidates(options, on(2)).every(({ intraOpThreads }) => intraOpThreads === 2)).toBe(true)
  expect(listCandidates(options, on()).every(({ intraOpThreads }) => intraOpThreads === undefined)).toBe(true)
})

const timing = (medianMs: number, low: number, high: number): SessionTiming => ({ medianMs, speedup: { low, high } })

test.each([
  ['nothing certain keeps the default', [timing(1, 1, 1), timing(0.9, 0.97, 1.2)], 0],
  ['a certain win is taken', [timing(1, 1, 1), timing(0.8, 1.1, 1.3)], 1],
  ['of two certain wins the faster', [timing(1, 1, 1), timing(0.8, 1.1, 1.3), timing(0.5, 1.8, 2.1)], 2],
  [
    'a lower median without certainty does not beat one with it',
    [timing(1, 1, 1), timing(0.8, 1.1, 1.3), timing(0.5, 0.9, 3)],
    1,
  ],
] as const)('%s', (_what, timings, best) => {
  expect(chooseFastest(timings)).toBe(best)
})

test('the chosen session and every measurement are reported; the model stays', async () => {
  const measured: number[] = []
  const measure = (_path: string, sessions: readonly object[]) => {
    measured.push(sessions.length)
    return Promise.resolve(sessions.map((_, index) => (index === 2 ? timing(0.4, 2, 3) : timing(1, 0.9, 1.1))))
  }
  const result = await applyPass('tune', model, { threads: [1, 2] }, { ...on(1), measure })
  expect(measured).toEqual([6])
  expect(result).toMatchObject({ modified: false, session: { intraOpThreads: 2, optimizationLevel: 'extended' } })
  expect(result.model).toBe(model)
  expect(result.notes).toHaveLength(6)
  expect(result.notes[2]).toMatchObject({
    action: 'done',
    reason: expect.stringMatching(/0\.400 ms, 2\.00 to 3\.00 times as fast .*, chosen/),
  })
})

test('sessions are timed at each batch, and chosen at that of the target', async () => {
  const batches: unknown[] = []
  const measure = (_path: string, sessions: readonly object[], { batch }: { batch?: number | undefined }) => {
    batches.push(batch)
    const fastest = batch === 8 ? 1 : 2
    return Promise.resolve(sessions.map((_, index) => (index === fastest ? timing(4, 2, 3) : timing(8, 0.9, 1.1))))
  }
  const target = { target: { device: 'cpu', isa: [], threads: 2, batch: 8 } }
  const result = await applyPass('tune', model, { batch: [1, 8] }, { ...target, measure })
  expect(batches).toEqual([1, 8])
  expect(result.session).toEqual(listCandidates(options, on(2))[1])
  expect(result.notes.filter(({ action }) => action === 'done')).toEqual([
    { action: 'done', reason: expect.stringContaining('at batch 8, 0.500 ms a sample') },
  ])
  const elsewhere = await applyPass('tune', model, { batch: [1, 8] }, { ...on(2), measure })
  expect(elsewhere.session).toEqual(listCandidates(options, on(2))[2])
})

test('nothing to choose from is said, not measured', async () => {
  const result = await applyPass('tune', model, { optimizationLevels: ['all'] }, on(1))
  expect(result.notes).toEqual([{ action: 'skipped', reason: 'the options leave nothing to choose from' }])
})

test('sessions are really timed when nobody brings a measure', async () => {
  const rounds: [number, number][] = []
  const progress = (done: number, total: number) => rounds.push([done, total])
  const { notes } = await applyPass(
    'tune',
    model,
    { optimizationLevels: ['basic', 'all'], budgetMs: 200 },
    { ...on(1), progress },
  )
  expect(notes).toHaveLength(2)
  for (const { reason } of notes) expect(reason).toMatch(/^\{.*\}: \d+\.\d{3} ms, \d+\.\d\d to \d+\.\d\d times/)
  expect(rounds.at(-1)?.[0]).toBe(rounds.at(-1)?.[1])
})

test('cancelling ends the measurement', async () => {
  const controller = new AbortController()
  const context = { ...on(1), signal: controller.signal, progress: () => controller.abort(new Error('enough')) }
  await expect(applyPass('tune', model, { budgetMs: 60_000 }, { ...createContext(context) })).rejects.toThrow('enough')
})

import { describe, expect, it } from 'vitest'
import { estimateRatio } from '../../../src/engine/measure/bootstrap.ts'
import { measureInterleaved, warmUp } from '../../../src/engine/measure/interleave.ts'
import { planRounds } from '../../../src/engine/measure/plan.ts'

describe('planRounds', () => {
  it.each([
    // 40 rounds of 2 blocks of 3 models at 1 ms: 240 ms a run each.
    [[1, 1, 1], 2400, { rounds: 40, runsPerBlock: 9, settle: true }],
    [[1, 1, 1], 960, { rounds: 40, runsPerBlock: 4, settle: false }],
    [[1, 1, 1], 120, { rounds: 20, runsPerBlock: 1, settle: false }],
    [[1000, 1000, 1000], 100, { rounds: 10, runsPerBlock: 1, settle: false }],
    [[0.01, 0.01, 0.01], 60_000, { rounds: 40, runsPerBlock: 250, settle: true }],
  ])('for models of %j ms in %i ms', (latencies, budget, plan) => {
    expect(planRounds(latencies, budget)).toEqual(plan)
  })

  it('keeps within the budget, the untimed runs included, where the models allow it', () => {
    for (const latency of [0.05, 0.7, 3]) {
      for (const budget of [1000, 5000, 20_000]) {
        const { rounds, runsPerBlock, settle } = planRounds([latency, 2 * latency, latency], budget)
        expect(rounds * 2 * (runsPerBlock + Number(settle)) * 4 * latency).toBeLessThanOrEqual(budget)
      }
    }
  })
})

describe('measureInterleaved', () => {
  const plan = { rounds: 30, runsPerBlock: 3, settle: true }

  /** Models that log their runs and take as long as `latency` says at that point of the log. */
  function makeModels(latency: (model: number, tick: number) => number) {
    const log: { model: number; index: number }[] = []
    const models = [0, 1, 2].map((model) => async (index: number) => {
      log.push({ model, index })
      return latency(model, log.length)
    })
    return { log, models }
  }

  it('visits the models of a round in one order and then in its mirror image', async () => {
    const { log, models } = makeModels(() => 1)
    const done: number[] = []
    const results = await measureInterleaved(models, { plan, seed: 1, onRound: (round) => done.push(round) })
    expect(results.map((rounds) => rounds.map(({ length }) => length))).toEqual(
      [0, 1, 2].map(() => Array.from({ length: 30 }, () => 6)),
    )
    expect(done).toEqual(Array.from({ length: 30 }, (_, round) => round + 1))
    const blocks = log.filter((_, index) => index % 4 === 0).map(({ model }) => model)
    const orders = Array.from({ length: 30 }, (_, round) => blocks.slice(round * 6, round * 6 + 6))
    for (const order of orders) {
      expect(order.slice(3)).toEqual(order.slice(0, 3).toReversed())
      expect(order.slice(0, 3).toSorted((a, b) => a - b)).toEqual([0, 1, 2])
    }
    expect(new Set(orders.map(String)).size).toBe(6)
  })

  it('repeats its order for a seed, and gives every model the same inputs', async () => {
    const runs = async (seed: number) => {
      const { log, models } = makeModels(() => 1)
      await measureInterleaved(models, { plan, seed })
      return log
    }
    const log = await runs(5)
    expect(await runs(5)).toEqual(log)
    expect(await runs(6)).not.toEqual(log)
    const inputs = [0, 1, 2].map((wanted) => log.filter(({ model }) => model === wanted).map(({ index }) => index))
    expect(inputs[1]).toEqual(inputs[0])
    expect(inputs[2]).toEqual(inputs[0])
  })

  it('leaves the settling run of a block out', async () => {
    let runs = 0
    const fresh = [async () => (runs++ % 4 === 0 ? 1000 : 1)]
    const [rounds] = await measureInterleaved(fresh, { plan, seed: 1 })
    expect(new Set(rounds!.flat())).toEqual(new Set([1]))
  })

  it('cancels a steady drift that is far larger than the difference', async () => {
    // Everything slows down threefold while measuring; model 1 is a tenth faster than the others.
    const total = 30 * 6 * 4
    const { models } = makeModels((model, tick) => (1 + (2 * tick) / total) * (model === 1 ? 1 : 1.1))
    const [a, b, again] = await measureInterleaved(models, { plan, seed: 1 })
    const options = { seed: 1, resamples: 1000 }
    const speedup = estimateRatio(a!, b!, options)
    expect(speedup.p50).toBeCloseTo(1.1, 1)
    expect(speedup.ci95[0]).toBeGreaterThan(1.05)
    expect(speedup.ci95[1]).toBeLessThan(1.15)
    expect(estimateRatio(a!, again!, options).p50).toBeCloseTo(1, 1)
  })

  it('passes on the error of a run', async () => {
    const failing = [() => Promise.reject(new Error('no memory'))]
    await expect(measureInterleaved(failing, { plan, seed: 1 })).rejects.toThrow('no memory')
  })
})

it('warmUp goes on until it has the runs and the time, and reports the later runs', async () => {
  const latencies: number[] = []
  const run = async (index: number) => {
    latencies.push(index)
    return index < 10 ? 50 : 10
  }
  expect(await warmUp(run, 3, 700)).toBe(10)
  expect(latencies).toHaveLength(30)
  expect(await warmUp(async () => 100, 3, 1)).toBe(100)
})

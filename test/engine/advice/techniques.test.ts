import { describe, expect, test } from 'vitest'
import { advise, type AdviceHost, type AdviceNeed } from '../../../src/engine/advice/index.ts'
import { factsWith } from './facts.ts'

const vnni: AdviceHost = { device: 'cpu', isa: ['avx512_vnni'], cores: 8 }
const avx2: AdviceHost = { ...vnni, isa: ['avx2'] }
const need: AdviceNeed = { goal: 'latency', allowedLoss: 0.05, hasCalibration: true, batch: 1 }

const cnn = factsWith({ convolution: 1e6 })
const mobile = factsWith({ convolution: 5e5, depthwise: 5e5 })
const mlp = factsWith({ product: 1e6 })
const encoder = factsWith({ product: 8e5, activation_product: 2e5 })
const lstm = factsWith({ recurrent: 9e5, product: 1e5 })

function suggestion(name: string, facts = cnn, changes: Partial<AdviceNeed> = {}, host: AdviceHost | undefined = vnni) {
  return advise(facts, host, { ...need, ...changes }).suggestions.find(({ technique }) => technique === name)!
}
const reasonsOf = (...args: Parameters<typeof suggestion>) => suggestion(...args).reasons.join(' ')
const speedupOf = (...args: Parameters<typeof suggestion>) => suggestion(...args).estimate!.speedup

describe('lossless', () => {
  test.each([
    [{ Clip: 2, Div: 1 }, 1.1, 'There is Clip to fold'],
    [{ BatchNormalization: 3 }, 1.05, 'There is BatchNormalization'],
    [{ Relu: 1 }, 1.01, 'Few operators here have a faster form'],
  ])('of %j expects %d', (ops, speedup, reason) => {
    const { estimate, reasons } = suggestion('lossless', { ...cnn, ops })
    expect(estimate!.speedup).toBe(speedup)
    expect(reasons[0]).toContain(reason)
  })
})

describe('static int8', () => {
  test('gains on convolutions and products, not on depthwise ones, and names the shares', () => {
    expect(speedupOf('int8-static')).toBeCloseTo(1 / (1 - 0.9 * (1 - 1 / 2.8)), 1)
    expect(speedupOf('int8-static', mobile)).toBeLessThan(1.2)
    expect(reasonsOf('int8-static', mobile)).toMatch(/77 % is depthwise convolutions, which stay in float/)
  })

  test('asks for a dataset where there is none', () => {
    expect(reasonsOf('int8-static', cnn, { hasCalibration: false })).toContain('give the job one')
  })

  test.each([
    ['recurrent layers only', factsWith({ recurrent: 1e6 }), vnni, 'no convolutions or products'],
    ['a GPU', cnn, { ...vnni, device: 'cuda' }, 'is for CPUs'],
  ])('does not fit %s', (_name, facts, host, reason) => {
    expect(suggestion('int8-static', facts, {}, host)).toMatchObject({
      advice: 'unsuitable',
      estimate: null,
      reasons: [expect.stringContaining(reason)],
    })
  })

  test('in part is for losses that are tight', () => {
    const places = (allowedLoss: number) => {
      const names = advise(cnn, vnni, { ...need, allowedLoss }).suggestions.map(({ technique }) => technique)
      return names.indexOf('int8-mixed') - names.indexOf('int8-static')
    }
    expect(places(0.005)).toBeLessThan(0)
    expect(places(0.05)).toBeGreaterThan(0)
    expect(reasonsOf('int8-mixed', cnn, { allowedLoss: 0.005 })).toContain('A loss of 0.5 % at most is little')
  })
})

describe('int8 with training', () => {
  test('is as fast as static int8, and comes after it', () => {
    const names = advise(cnn, vnni, need).suggestions.map(({ technique }) => technique)
    expect(names.indexOf('qat-int8')).toBeGreaterThan(names.indexOf('int8-static'))
    expect(suggestion('qat-int8')).toMatchObject({ advice: 'try', recipe: { name: 'qat-int8' } })
    expect(speedupOf('qat-int8')).toBe(speedupOf('int8-static'))
  })

  test('needs samples', () => {
    expect(reasonsOf('qat-int8', cnn, { hasCalibration: false })).toContain('and there are none')
  })
})

describe('dynamic int8', () => {
  test('is for products and recurrent layers, and leaves attention in float', () => {
    expect(suggestion('int8-dynamic', cnn)).toMatchObject({ advice: 'unsuitable' })
    expect(reasonsOf('int8-dynamic', encoder)).toContain('18 % is products of two activations (attention)')
    expect(reasonsOf('int8-dynamic', lstm)).toContain('81 % is recurrent layers')
    expect(speedupOf('int8-dynamic', lstm)).toBeGreaterThan(1.8)
  })

  test('shrinks recurrent weights too', () => {
    expect(suggestion('int8-dynamic', lstm).estimate!.size_ratio).toBeCloseTo(0.26)
  })
})

describe('packed weights', () => {
  test('gain where one row is multiplied at a time', () => {
    expect(suggestion('w4', mlp)).toMatchObject({ advice: 'try' })
    expect(suggestion('w4', mlp, { batch: 8 })).toMatchObject({ advice: 'unlikely' })
    expect(suggestion('w8', cnn)).toMatchObject({ advice: 'unsuitable' })
    expect(suggestion('w4', mlp).estimate!.size_ratio).toBeLessThan(suggestion('w8', mlp).estimate!.size_ratio)
  })
})

describe('smaller models', () => {
  const trained = ['prune-finetune', 'distill-small', 'prune-distill-int8'] as const

  test.each(trained)('%s is offered where a loss is allowed and there are samples', (name) => {
    const { advice, recipe, needs, reasons } = suggestion(name)
    expect({ advice, name: recipe.name }).toEqual({ advice: 'try', name })
    expect(needs.train).not.toBeNull()
    expect(reasons.join(' ')).toContain('Training takes minutes to hours')
  })

  test.each(trained)('%s is doubtful where the loss is tiny, and refused where none is allowed', (name) => {
    const { advice, reasons } = suggestion(name, cnn, { allowedLoss: 0.001 })
    expect(advice).toBe('unlikely')
    expect(reasons).toContain('It seldom keeps its loss under 0.1 %.')
    expect(suggestion(name, cnn, { allowedLoss: 0 })).toMatchObject({ advice: 'unsuitable' })
  })

  test('need samples, of a train or a calibration dataset', () => {
    const without = { hasCalibration: false }
    expect(reasonsOf('distill-small', cnn, without)).toContain('there are no samples to learn from')
    expect(suggestion('distill-small', cnn, { ...without, training: 'samples' })).toMatchObject({ advice: 'try' })
    expect(suggestion('distill-small', factsWith({ recurrent: 1e6 }))).toMatchObject({ advice: 'unsuitable' })
  })

  test('learn from labels where there are any', () => {
    expect(reasonsOf('prune-finetune', cnn, { training: 'labels' })).toContain('learns from your labels')
    expect(reasonsOf('prune-finetune')).toContain('the original teaches it')
  })

  test('come after what gains as much at once, and before it where nothing else helps', () => {
    const first = (host: AdviceHost) => advise(cnn, host, need).suggestions[0]!.technique
    expect([first(vnni), first(avx2)]).toEqual(['int8-static', 'int8-static'])
    expect(suggestion('prune-distill-int8', cnn, {}, { ...vnni, device: 'cuda' })).toMatchObject({
      advice: 'unsuitable',
    })
    const onGpu = advise(cnn, { ...vnni, device: 'cuda' }, need).suggestions
    expect(onGpu.slice(0, 3).map(({ technique }) => technique)).toEqual(['fp16', 'distill-small', 'prune-finetune'])
  })

  test('factorize is for products, by a recipe of its own, and leaves the rank to a job', () => {
    expect(suggestion('factorize', mlp)).toMatchObject({ advice: 'try', recipe: { name: 'factorize' } })
    expect(reasonsOf('factorize', mlp)).toContain('only a job finds out')
    expect(suggestion('factorize', mlp, { allowedLoss: 0.005 })).toMatchObject({ advice: 'unlikely' })
    expect(suggestion('factorize', cnn)).toMatchObject({ advice: 'unsuitable' })
  })
})

describe('half precision', () => {
  test('is for GPUs, and for size', () => {
    expect(suggestion('fp16')).toMatchObject({ advice: 'unlikely' })
    expect(suggestion('fp16', cnn, { goal: 'size' })).toMatchObject({ advice: 'try' })
    expect(suggestion('fp16', cnn, {}, { ...vnni, device: 'cuda' })).toMatchObject({ advice: 'try' })
  })
})

describe('the host and the goal', () => {
  test('throughput of many cores is bound by memory, so small weights gain more than for latency', () => {
    const latency = speedupOf('w4', mlp)
    expect(speedupOf('w4', mlp, { goal: 'throughput' })).toBeGreaterThan(latency)
    expect(reasonsOf('w4', mlp, { goal: 'throughput' })).toContain('Runs on 8 cores read weights from one memory')
    expect(speedupOf('w4', mlp, { goal: 'throughput' }, { ...vnni, cores: 1 })).toBe(latency)
    expect(speedupOf('int8-dynamic', mlp, { goal: 'throughput', batch: 8 })).toBe(
      speedupOf('int8-dynamic', mlp, { batch: 8 }),
    )
  })

  test('ranks for throughput otherwise than for latency', () => {
    const facts = factsWith({ product: 6e5, convolution: 4e5 })
    const first = (goal: AdviceNeed['goal']) =>
      advise(facts, avx2, { ...need, goal, allowedLoss: 0.01 }).suggestions[0]!
    expect(first('latency').technique).not.toBe(first('throughput').technique)
  })

  test('threads wait for each other, so every technique gains less', () => {
    expect(speedupOf('int8-static', cnn, { threads: 8 })).toBeLessThan(speedupOf('int8-static'))
    expect(reasonsOf('int8-static', cnn, { threads: 8 })).toContain('8 threads also wait for each other')
  })
})

describe('the recipe to start with', () => {
  test('runs with what there is', () => {
    const recipe = (changes: Partial<AdviceNeed>, facts = cnn) =>
      advise(facts, vnni, { ...need, ...changes }).recipe.name
    expect(recipe({})).toBe('int8-static')
    expect(recipe({ hasCalibration: false })).toBe('lossless')
    expect(recipe({ hasCalibration: false }, mlp)).toMatch(/^(w4|w8|int8-dynamic)$/)
    expect(recipe({ hasCalibration: false, training: 'samples' })).toBe('distill-small')
  })
})

describe('threads', () => {
  const big = factsWith({ convolution: 1e9 })
  const target = (facts = big, changes: Partial<AdviceNeed> = {}, host: AdviceHost | undefined = vnni) =>
    advise(facts, host, { ...need, ...changes }).target

  test('are as many as a run is worth, for latency', () => {
    expect(target()).toEqual({ threads: 8, reason: expect.stringContaining('enough for 8 of 8 cores') })
    expect(target(factsWith({ convolution: 6e7 })).threads).toBe(2)
    expect(target(cnn)).toEqual({ threads: 1, reason: expect.stringContaining('costs more than it saves') })
    expect(target(cnn, { batch: 100 }).threads).toBe(4)
  })

  test('are one a run for throughput', () => {
    expect(target(big, { goal: 'throughput' })).toEqual({
      threads: 1,
      reason: expect.stringContaining('8 runs at a time'),
    })
  })

  test.each([
    [{ ...vnni, cores: 1 }, big, 'one core'],
    [{ ...vnni, device: 'cuda' }, big, 'The cuda device does the work'],
    [vnni, { ...big, flops: null }, 'Some shapes are unknown'],
  ])('are one on %j', (host, facts, reason) => {
    expect(target(facts, {}, host)).toEqual({ threads: 1, reason: expect.stringContaining(reason) })
  })

  test('are one where nobody tells', () => {
    expect(advise(big, undefined, need).target.reason).toContain('No live worker')
  })
})

import { fork } from 'node:child_process'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { generateInputs } from '../../../src/engine/data/index.ts'
import { compareModels, type CompareOptions } from '../../../src/engine/measure/index.ts'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import { HastenError } from '../../../src/errors.ts'
import { ocrModels } from '../../support/models.ts'
import { expectError, makeFolder } from '../data/npz-files.ts'

const moduleUrl = (path: string) => pathToFileURL(join(import.meta.dirname, '../../../src/engine/runtime', path)).href
const runtimes = {
  ort: { url: moduleUrl('ort/index.ts'), factory: 'createOrtRuntime' },
  'ort-node': { url: moduleUrl('ort-node/index.ts'), factory: 'createOrtNodeRuntime' },
}

const clsInput = { name: 'x', dtype: 'float32', dims: [null, 3, 48, 192] } as const
const options: CompareOptions = {
  baseline: { path: ocrModels.cls },
  optimized: { path: ocrModels.cls, session: { optimizationLevel: 'basic' }, sizeBytes: 1234 },
  inputs: [1, 2].map((seed) => generateInputs([clsInput], { batch: 2, seed })),
  target: { threads: 1, batch: 2 },
  runtime: runtimes.ort,
  budgetMs: 300,
  coldStarts: 1,
  resamples: 200,
}

/** A runtime module of the test's own, for what a real one can't be made to do. */
function writeRuntime(body: string) {
  const path = join(makeFolder(), 'runtime.mjs')
  writeFileSync(path, `export function create() {${body}}`)
  return { url: pathToFileURL(path).href, factory: 'create' }
}

describe('compareModels', () => {
  it.each(['ort', 'ort-node'] as const)('measures a real model in processes of its own (%s)', async (name) => {
    const progress: string[] = []
    const onProgress = (done: number, total: number) => progress.push(`${done}/${total}`)
    const evidence = await compareModels({ ...options, runtime: runtimes[name], onProgress })
    const { baseline, optimized, speedup, noise, method } = evidence
    for (const model of [baseline, optimized]) {
      const { p50_ms, p90_ms, p95_ms, p99_ms, min_ms, percentiles_ms, runs } = model.latency
      const ordered = [0, min_ms, p50_ms, p90_ms, p95_ms, p99_ms]
      expect(ordered.toSorted((a, b) => a - b)).toEqual(ordered)
      expect(percentiles_ms).toHaveLength(101)
      expect(runs).toBe(method.rounds * 2 * method.runs_per_block)
      expect(model.frames_per_second).toBeCloseTo(2 * model.throughput, 9)
      expect(model.cold_start_ms).toBeGreaterThan(0)
      // The model's weights alone are 0.6 MB; a whole process has far over 100 MB more.
      expect(model.peak_memory_bytes).toBeGreaterThan(500_000)
      expect(model.peak_memory_bytes).toBeLessThan(200_000_000)
    }
    expect(baseline.size_bytes).toBe(statSync(ocrModels.cls).size)
    expect(optimized.size_bytes).toBe(1234)
    expect(speedup.p50).toBeCloseTo(baseline.latency.p50_ms / optimized.latency.p50_ms, 9)
    for (const { ci95 } of [speedup, noise]) expect(ci95[0]).toBeLessThanOrEqual(ci95[1])
    expect(['faster', 'same', 'slower']).toContain(evidence.significance)
    expect(method).toMatchObject({ batch: 2, threads: 1, resamples: 200, seed: 1 })
    expect(progress.at(-1)).toBe(`${method.rounds}/${method.rounds}`)
    expect(JSON.parse(JSON.stringify(evidence))).toEqual(evidence)
  })

  it('reports what the runtime says of a model that does not load', async () => {
    const path = join(makeFolder(), 'broken.onnx')
    writeFileSync(path, 'not a model')
    await expectError(compareModels({ ...options, optimized: { path } }), 'model_load_failed', /./)
  })

  it('reports inputs that do not fit, and inputs that are not there', async () => {
    const wrong = { x: tensorOf('float32', [1, 2], new Float32Array(2)) }
    await expectError(compareModels({ ...options, inputs: [wrong] }), 'input_shape', /x/)
    await expectError(compareModels({ ...options, inputs: [] }), 'measurement_failed', /no inputs/)
  })

  it('survives a runtime that crashes, and one that is not there', async () => {
    const crashing = writeRuntime('process.kill(process.pid, "SIGSEGV")')
    await expectError(compareModels({ ...options, runtime: crashing }), 'measurement_failed', /ended early \(SIGSEGV\)/)
    const exiting = writeRuntime('process.exit(3)')
    await expectError(compareModels({ ...options, runtime: exiting }), 'measurement_failed', /exit code 3/)
    const absent = { ...runtimes.ort, factory: 'createNothing' }
    await expectError(compareModels({ ...options, runtime: absent }), 'internal', /exports no createNothing/)
  })

  it('ends a runtime that hangs when the time is up', async () => {
    const hanging = writeRuntime('return { createSession: () => new Promise(() => setInterval(() => {}, 1000)) }')
    const promise = compareModels({ ...options, runtime: hanging, timeoutMs: 500 })
    await expectError(promise, 'measurement_failed', /took longer than/)
  })

  it('stops at once when aborted, with the signal’s own reason, and leaves no process behind', async () => {
    await expectError(compareModels({ ...options, signal: AbortSignal.abort() }), 'job_canceled', /canceled/)
    const busy = writeBusyRuntime('while (true);')
    const controller = new AbortController()
    const promise = compareModels({ ...options, runtime: busy.runtime, signal: controller.signal })
    const failed = expectError(promise, 'job_deadline', /too late/)
    const pid = await busy.readPid()
    controller.abort(new HastenError('job_deadline', 'too late'))
    await failed
    await expect.poll(() => isAlive(pid), { timeout: 5000 }).toBe(false)
  })

  it('ends with the process that asked, however that ends', async () => {
    const busy = writeBusyRuntime('return { createSession: () => new Promise(() => setInterval(() => {}, 1000)) }')
    const script = join(makeFolder(), 'parent.mjs')
    const url = pathToFileURL(join(import.meta.dirname, '../../../src/engine/measure/compare.ts')).href
    const request = { ...options, runtime: busy.runtime, inputs: [{}] }
    writeFileSync(script, `import { compareModels } from '${url}'\nawait compareModels(${JSON.stringify(request)})`)
    const parent = fork(script)
    onTestFinished(() => void parent.kill('SIGKILL'))
    const pid = await busy.readPid()
    parent.kill('SIGKILL')
    await expect.poll(() => isAlive(pid), { timeout: 20_000 }).toBe(false)
  })
})

/** A runtime that writes its process id before it does `body`. */
function writeBusyRuntime(body: string) {
  const file = join(makeFolder(), 'pid')
  const write = `process.getBuiltinModule('node:fs').writeFileSync(${JSON.stringify(file)}, String(process.pid) + '\\n');`
  const readPid = async () => {
    await expect
      .poll(() => existsSync(file) && readFileSync(file, 'utf8').endsWith('\n'), { timeout: 20_000 })
      .toBe(true)
    return Number(readFileSync(file, 'utf8'))
  }
  return { runtime: writeRuntime(`${write} ${body}`), readPid }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

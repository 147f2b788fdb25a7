import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { createModel } from '../../../src/engine/ir/model.ts'
import { tensorOf } from '../../../src/engine/ir/tensor.ts'
import { encodeModel, loadModel, saveModel } from '../../../src/engine/onnx/index.ts'
import { applyPass, countOps, floats, int64s, noise, numbers, runtime } from '../passes/support.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'hasten-large-'))
afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

const [rows, width, tables] = [1024, 256, 2100]

/** Rows of more than 2 GiB of tables, added, and a sigmoid written out. One tensor is all of them, so it takes 1 MiB. */
function largeModel() {
  const model = createModel({ opset: 17 })
  const { graph } = model
  const ids = graph.addInput('ids', { dtype: 'int64', dims: [2] })
  const table = floats([rows, width], (index) => noise(index) / tables)
  const parts = Array.from({ length: tables }, (_, index) => {
    const values = graph.addInitializer(`table${index}`, table)
    return graph.addNode({ opType: 'Gather', inputs: [values, ids] }).outputs[0]
  })
  const one = graph.addInitializer('one', tensorOf('float32', [], Float32Array.of(1)))
  const step = (opType: string, ...inputs: typeof parts) => graph.addNode({ opType, inputs }).outputs[0]
  const output = step('Div', one, step('Add', step('Exp', step('Neg', step('Sum', ...parts))), one))
  if (output === undefined) throw new Error('no output')
  output.type = { dtype: 'float32', dims: [2, width] }
  graph.addOutput(output)
  return model
}

test('a model of more than 2 GiB is rewritten, proven, saved and run', async () => {
  const original = largeModel()
  expect(() => encodeModel(original)).toThrow(/one ONNX file holds/)
  const { model, notes } = await applyPass('simplify', original)
  expect(notes).toContainEqual(expect.objectContaining({ reason: '1 / (1 + exp(−x)) became Sigmoid' }))
  expect(countOps(model)).toEqual({ Gather: tables, Sum: 1, Sigmoid: 1 })
  const run = async (each: typeof model, name: string) => {
    const file = path.join(folder, name)
    await saveModel(each, file)
    expect(statSync(file).size).toBeLessThan(2 ** 20)
    const session = await runtime.createSession({ path: file }, { session: { optimizationLevel: 'disabled' } })
    const [answer] = Object.values(await session.run({ ids: int64s([2], [3, 1000]) }))
    await session.release()
    return numbers(answer)
  }
  const [before, after] = [await run(original, 'before.onnx'), await run(model, 'after.onnx')]
  expect(Math.max(...before.map((value, index) => Math.abs(value - (after[index] as number))))).toBeLessThan(1e-5)
  expect((await loadModel(path.join(folder, 'after.onnx'))).graph.initializers.size).toBe(tables)
})

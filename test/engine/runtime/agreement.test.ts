import { expect, test } from 'vitest'

import { tensorOf, type Tensor } from '../../../src/engine/ir/tensor.ts'
import { createOrtNodeRuntime } from '../../../src/engine/runtime/ort-node/index.ts'
import { createOrtRuntime } from '../../../src/engine/runtime/ort/index.ts'
import type { Runtime, Session } from '../../../src/engine/runtime/port.ts'
import { ocrModels } from '../../support/models.ts'

/** Numbers in [-1, 1) that are the same in every run. */
function noise(dims: readonly number[]): Tensor {
  let state = 1
  const next = (): number => (state = (state * 48271) % 2147483647) / 1073741823.5 - 1
  const count = dims.reduce((product, dim) => product * dim, 1)
  return tensorOf('float32', dims, Float32Array.from({ length: count }, next))
}

test.each([
  ['cls', ocrModels.cls, [2, 3, 48, 192]],
  ['rec', ocrModels.rec, [1, 3, 48, 96]],
  ['det', ocrModels.det, [1, 3, 64, 96]],
] as const)('both adapters give the same bytes for PP-OCR %s, and describe it alike', async (_, path, dims) => {
  const runtimes: Runtime[] = [createOrtRuntime(), createOrtNodeRuntime()]
  const sessions: Session[] = []
  for (const runtime of runtimes) {
    sessions.push(await runtime.createSession({ path }, { session: { intraOpThreads: 1, spinning: false } }))
  }
  const [ours, theirs] = await Promise.all(sessions.map((session) => session.run({ x: noise(dims) })))
  expect(ours).toEqual(theirs)
  expect(new Set(Object.values(ours ?? {}).flatMap(({ dims }) => dims)).has(0)).toBe(false)
  expect(sessions[0]?.inputs).toEqual(sessions[1]?.inputs)
  expect(sessions[0]?.outputs).toEqual(sessions[1]?.outputs)
  await Promise.all(runtimes.map((runtime) => runtime.close()))
})

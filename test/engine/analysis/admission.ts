import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { expect } from 'vitest'

import { admitFile, type AdmissionReport } from '../../../src/engine/analysis/admit.ts'
import { defaultAdmissionLimits, type AdmissionLimits } from '../../../src/engine/analysis/admission-checks.ts'
import { tensorOf, type Tensor } from '../../../src/engine/ir/tensor.ts'
import type { ModelSpec } from '../../support/models.ts'

/** A folder for one test and what admission says of models in it. */
export interface AdmissionFolder {
  readonly folder: string
  readonly admit: (bytes: Uint8Array, limits?: Partial<AdmissionLimits>) => Promise<AdmissionReport>
  readonly remove: () => Promise<void>
}

export async function openFolder(): Promise<AdmissionFolder> {
  const folder = await mkdtemp(path.join(tmpdir(), 'hasten-admit-'))
  const file = path.join(folder, 'model.onnx')
  return {
    folder,
    admit: async (bytes, limits = {}) => {
      await writeFile(file, bytes)
      return admitFile(file, { ...defaultAdmissionLimits, ...limits })
    },
    remove: () => rm(folder, { recursive: true }),
  }
}

export async function expectRefusal(refused: Promise<unknown>, code: string, detail: string | RegExp): Promise<void> {
  await expect(refused).rejects.toThrow(expect.objectContaining({ name: 'HastenError', code }))
  await expect(refused).rejects.toThrow(detail)
}

/** x → Relu → y */
export const relu: ModelSpec = {
  inputs: { x: ['float32', [4]] },
  outputs: { y: ['float32', [4]] },
  nodes: [['Relu', ['x'], ['y'], {}, 'the relu']],
}

export function ints(...values: number[]): Tensor {
  return tensorOf('int64', [values.length], BigInt64Array.from(values, BigInt))
}

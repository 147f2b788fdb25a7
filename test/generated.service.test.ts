import { execFile } from 'node:child_process'
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'

import { expect, test } from 'vitest'

const root = path.join(import.meta.dirname, '..')

test.each([
  ['src/engine/onnx', 'onnx'],
  ['src/serving/grpc', 'inference'],
])('the committed message types of %s are those of its .proto', async (folder, name) => {
  const fresh = await mkdtemp(path.join(tmpdir(), 'hasten-proto-'))
  try {
    await promisify(execFile)(process.execPath, [path.join(root, 'scripts/generate-proto.mjs'), folder, fresh])
    const files = await readdir(fresh)
    expect(new Set(files)).toEqual(new Set([`${name}_pb.d.ts`, `${name}_pb.js`]))
    for (const file of files) {
      const committed = await readFile(path.join(root, folder, 'generated', file), 'utf8')
      expect(committed).toBe(await readFile(path.join(fresh, file), 'utf8'))
    }
  } finally {
    await rm(fresh, { recursive: true })
  }
})

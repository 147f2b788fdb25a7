import { execFile } from 'node:child_process'
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'

import { expect, it } from 'vitest'

const root = path.join(import.meta.dirname, '../../..')

it('the committed message types are those of the .proto', async () => {
  const fresh = await mkdtemp(path.join(tmpdir(), 'hasten-proto-'))
  try {
    await promisify(execFile)(process.execPath, [
      path.join(root, 'scripts/generate-proto.mjs'),
      'src/engine/onnx',
      fresh,
    ])
    const files = await readdir(fresh)
    expect(files.sort()).toEqual(['onnx_pb.d.ts', 'onnx_pb.js'])
    for (const file of files) {
      const committed = await readFile(path.join(root, 'src/engine/onnx/generated', file), 'utf8')
      expect(committed).toBe(await readFile(path.join(fresh, file), 'utf8'))
    }
  } finally {
    await rm(fresh, { recursive: true })
  }
})

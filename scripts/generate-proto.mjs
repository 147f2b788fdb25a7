// Generates the ONNX codec's message types from src/engine/onnx/proto, into another folder if one is given. The result
// is committed, so only someone who edits the .proto runs this. JavaScript with declarations: generated TypeScript has
// enums, which can't be stripped.
import { spawnSync } from 'node:child_process'
import path from 'node:path'

const root = path.join(import.meta.dirname, '..')
const bin = path.join(root, 'node_modules/.bin')
const template = {
  version: 'v2',
  plugins: [
    {
      local: path.join(bin, 'protoc-gen-es'),
      out: process.argv[2] ?? 'src/engine/onnx/generated',
      opt: ['target=js+dts', 'import_extension=js'],
    },
  ],
}
const { status } = spawnSync(
  path.join(bin, 'buf'),
  ['generate', 'src/engine/onnx/proto', '--template', JSON.stringify(template)],
  { cwd: root, stdio: 'inherit' },
)
process.exit(status ?? 1)

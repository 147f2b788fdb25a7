// Generates the message types of the .proto files, or those of one `<folder>/proto` into another folder if both are
// given. The results are committed, so only someone who edits a .proto runs this. JavaScript with declarations:
// generated TypeScript has enums, which can't be stripped.
import { spawnSync } from 'node:child_process'
import path from 'node:path'

const root = path.join(import.meta.dirname, '..')
const bin = path.join(root, 'node_modules/.bin')
const [folder, target] = process.argv.slice(2)

function generate(from, out) {
  const plugin = {
    local: path.join(bin, 'protoc-gen-es'),
    out,
    opt: ['target=js+dts', 'import_extension=js'],
  }
  const { status } = spawnSync(
    path.join(bin, 'buf'),
    ['generate', `${from}/proto`, '--template', JSON.stringify({ version: 'v2', plugins: [plugin] })],
    { cwd: root, stdio: 'inherit' },
  )
  if (status !== 0) process.exit(status ?? 1)
}

for (const from of folder === undefined ? ['src/engine/onnx', 'src/serving/grpc'] : [folder]) {
  generate(from, target ?? `${from}/generated`)
}

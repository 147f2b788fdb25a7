// The compiler leaves generated JavaScript where it is; the build needs it beside the compiled modules.
import { cpSync, globSync, mkdirSync } from 'node:fs'
import path from 'node:path'

for (const file of globSync('src/**/*.js')) {
  const target = path.join('dist', path.relative('src', file))
  mkdirSync(path.dirname(target), { recursive: true })
  cpSync(file, target)
}

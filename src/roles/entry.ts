import path from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(import.meta.url)

/** Path of the composition root that a forked child runs: TypeScript in a checkout, JavaScript in the image. */
export function childEntry(name: 'job-child' | 'inspect-child'): string {
  return path.join(path.dirname(here), `${name}${path.extname(here)}`)
}

import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { serveFlags } from '../src/roles/serve-flags.ts'

interface Service {
  readonly entrypoint?: readonly string[]
  readonly command?: readonly string[]
}

describe('docker-compose.yml', () => {
  it('starts every data plane with the flags that it is measured with', async () => {
    const text = await readFile(new URL('../docker-compose.yml', import.meta.url), 'utf8')
    const { services } = parse(text, { merge: true }) as { readonly services: Readonly<Record<string, Service>> }
    const planes = Object.values(services).filter(({ command }) => command?.[0] === 'serve')
    expect(planes).toHaveLength(2)
    for (const { entrypoint } of planes) expect(entrypoint).toEqual(['node', ...serveFlags, 'bin/hasten.mjs'])
  })
})

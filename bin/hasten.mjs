#!/usr/bin/env node
// Runs the compiled command when there is one (the image), the TypeScript source otherwise (a checkout).
import { existsSync } from 'node:fs'

const compiled = new URL('../dist/cli.js', import.meta.url)
await import(existsSync(compiled) ? compiled.href : new URL('../src/cli.ts', import.meta.url).href)

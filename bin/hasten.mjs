#!/usr/bin/env node
// Runs the compiled command when there is one (the image), the TypeScript source otherwise (a checkout).
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'

// Predictions run on libuv's pool, beside file and DNS work; its size is read once, before its first use.
process.env.UV_THREADPOOL_SIZE ??= String(Math.max(16, availableParallelism() * 2 + 4))

const compiled = new URL('../dist/cli.js', import.meta.url)
await import(existsSync(compiled) ? compiled.href : new URL('../src/cli.ts', import.meta.url).href)

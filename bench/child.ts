import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'

const root = path.resolve(import.meta.dirname, '..')

/** Runs a script of this folder in a process of its own; the JSON it prints. */
export async function runChild<T>(script: string, args: readonly string[]): Promise<T> {
  const { stdout } = await promisify(execFile)(process.execPath, [path.join(import.meta.dirname, script), ...args])
  return JSON.parse(stdout) as T
}

/** The interpreter of `HASTEN_BENCH_PYTHON`, which has onnxruntime, onnx and numpy; undefined leaves comparisons with it out. */
export const python = process.env['HASTEN_BENCH_PYTHON']

/** Runs a Python script, named from the repository's root, on absolute paths; the JSON that its last line is. */
export async function runPython<T>(interpreter: string, script: string, args: readonly string[]): Promise<T> {
  // onnxruntime's tools leave files where they are started.
  const cwd = await mkdtemp(path.join(tmpdir(), 'hasten-python-'))
  try {
    const run = promisify(execFile)(interpreter, [path.join(root, script), ...args], { maxBuffer: 2 ** 26, cwd })
    return JSON.parse((await run).stdout.trim().split('\n').at(-1) as string) as T
  } finally {
    await rm(cwd, { recursive: true })
  }
}

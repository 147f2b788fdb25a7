// Copies a file, or loads and saves a model, and prints how long that took and how much memory it needed:
// node bench/codec-child.ts copy|stream|model FROM TO [EXTERNAL_THRESHOLD]
import { closeSync, fsyncSync, openSync, readFileSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { loadModel, saveModel } from '../src/engine/onnx/index.ts'
import { peakResidentBytes } from './peak-memory.ts'

const [what = '', from = '', to = '', threshold] = process.argv.slice(2)
const started = performance.now()
if (what === 'model') await copyModel()
else writeSynced(what === 'copy' ? copyWhole : copyThroughBuffer)
const ms = performance.now() - started
process.stdout.write(`${JSON.stringify({ ms, peakBytes: peakResidentBytes() })}\n`)

async function copyModel(): Promise<void> {
  const model = await loadModel(from)
  await saveModel(model, to, threshold === undefined ? {} : { externalData: { thresholdBytes: Number(threshold) } })
}

/** Waits for the disk as saving does. */
function writeSynced(write: (target: number) => void): void {
  const target = openSync(to, 'w')
  write(target)
  fsyncSync(target)
  closeSync(target)
}

function copyWhole(target: number): void {
  writeFileSync(target, readFileSync(from))
}

/** Through one small buffer: without the fresh memory that whoever holds a model needs. */
function copyThroughBuffer(target: number): void {
  const buffer = Buffer.alloc(2 ** 20)
  const source = openSync(from, 'r')
  for (let count = readSync(source, buffer); count > 0; count = readSync(source, buffer)) {
    writeSync(target, buffer, 0, count)
  }
  closeSync(source)
}

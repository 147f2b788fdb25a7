// Calibrates every value of a model once and prints how long that took and how much memory it needed:
// node bench/calibration-child.ts MODEL DATA METHOD SAMPLES BATCH
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { openDataset } from '../src/engine/data/index.ts'
import { collectRanges } from '../src/engine/calibrate/collect-ranges.ts'
import { encodeModel, loadModel } from '../src/engine/onnx/index.ts'
import { createOrtRuntime } from '../src/engine/runtime/ort/index.ts'
import { peakResidentBytes } from './peak-memory.ts'

const [model = '', data = '', method = '', samples = '', batch = ''] = process.argv.slice(2)
const runtime = createOrtRuntime()
const graph = await loadModel(model)
const dataset = await openDataset(data)
const names = [...graph.graph.inputs, ...[...graph.graph.nodes].flatMap((node) => node.outputs)].map(({ name }) => name)

// What loading the program left behind is not calibration's to clear away; Python, which counts references, has done so.
setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void
collectGarbage()
const started = performance.now()
const cpuBefore = process.cpuUsage()
const { ranges } = await collectRanges(
  graph,
  names,
  dataset,
  {
    method: method as 'entropy' | 'percentile',
    percentile: 99.999,
    averagingConstant: 0.01,
    affine: { dtype: 'uint8', symmetric: true },
    samples: Number(samples),
    batch: Number(batch),
    signal: new AbortController().signal,
    progress: () => undefined,
  },
  async (observed, use) => {
    const session = await runtime.createSession({ bytes: encodeModel(observed) }, { session: { intraOpThreads: 1 } })
    try {
      return await use(session)
    } finally {
      await session.release()
    }
  },
)
const ms = performance.now() - started
const { user, system } = process.cpuUsage(cpuBefore)
const cpuMs = (user + system) / 1000
await dataset.close()
const peakBytes = peakResidentBytes()
process.stdout.write(`${JSON.stringify({ ms, cpuMs, peakBytes, tensors: ranges.size })}\n`)

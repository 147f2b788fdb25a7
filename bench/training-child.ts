// Times training steps of one net and prints how long one took and how much memory that needed:
// node bench/training-child.ts NET STEPS THREADS
import { createRandom, sampleInteger } from '../src/engine/data/random.ts'
import { tensorOf } from '../src/engine/index.ts'
import { createOrtRuntime } from '../src/engine/runtime/ort/index.ts'
import { io } from '../src/engine/training/forward.ts'
import { optimizerRule } from '../src/engine/training/optimizers.ts'
import { packParameters } from '../src/engine/training/parameters.ts'
import { liftWeights } from '../src/engine/training/prepare.ts'
import { buildStep } from '../src/engine/training/step.ts'
import { openStepper } from '../src/engine/training/stepper.ts'
import { peakResidentBytes } from './peak-memory.ts'
import { nets, randomTensor } from './training-nets.ts'

const [name = '', steps = '', threads = ''] = process.argv.slice(2)
const net = nets[name]
if (net === undefined) throw new Error(`no net ${name}; there are ${Object.keys(nets).join(', ')}`)
const warmUp = 3
const optimizer = { kind: 'adamw', weightDecay: 0.01 } as const

const model = liftWeights(await net.model())
const labels = { name: 'labels', dtype: 'int64', dims: [net.batch] } as const
const runtime = createOrtRuntime()
const idleBytes = peakResidentBytes()
const built = performance.now()
const step = buildStep(model, { loss: { kind: 'cross-entropy' }, optimizer, labels })
const buildMs = performance.now() - built
const stepper = await openStepper(runtime, step, {
  session: { intraOpThreads: Number(threads) },
  signal: new AbortController().signal,
})
stepper.write({ parameters: packParameters(model.graph, step.parameters) })
const random = createRandom(2)
const target = BigInt64Array.from({ length: net.batch }, () => BigInt(sampleInteger(random, 10)))
const feeds = {
  [net.input]: randomTensor([net.batch, ...net.sample]),
  [io.target]: tensorOf('int64', [net.batch], target),
}
const times: number[] = []
const losses: number[] = []
for (let update = 1; update <= warmUp + Number(steps); update += 1) {
  const started = performance.now()
  const { loss } = await stepper.update(
    [{ feeds, weight: 1 }],
    optimizerRule(optimizer).scalars(optimizer, update, 1e-3),
  )
  if (update > warmUp) times.push(performance.now() - started)
  losses.push(loss)
}
await stepper.close()
const ms = times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)]
const figures = {
  ms,
  buildMs,
  idleBytes,
  peakBytes: peakResidentBytes(),
  firstLoss: losses[0],
  lastLoss: losses.at(-1),
}
process.stdout.write(`${JSON.stringify(figures)}\n`)

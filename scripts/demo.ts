// The product in one command, from nothing: starts every role over an embedded Postgres in a temporary folder,
// optimizes the example model, deploys the result, asks it for a prediction, and stops.
import path from 'node:path'
import type { Client } from '../src/cli/client.ts'
import { deploy } from '../src/cli/deploy.ts'
import { runJob } from '../src/cli/run.ts'
import { openDataset, viewOf } from '../src/engine/index.ts'
import { reportFailure } from '../src/roles/lifecycle.ts'
import { startHasten } from './lib/hasten-process.ts'

const root = path.resolve(import.meta.dirname, '..')
const digits = (name: string) => path.join(root, 'examples/digits', name)
const reportBase = path.join(root, 'hasten-report')
const gates = ['top1 >= baseline - 0.005', 'p50 <= 0.8 * baseline']

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

interface InferAnswer {
  readonly outputs: readonly { readonly data: readonly number[] }[]
}

/** One digit of the evaluation set over the Open Inference Protocol, as JSON. */
async function predict(client: Client, name: string): Promise<{ label: number; predicted: number }> {
  const dataset = await openDataset(digits('evaluation.npz'))
  const { image } = await dataset.read(0, 1)
  const labels = await dataset.labels(0, 1)
  await dataset.close()
  if (image === undefined || labels === undefined) throw new Error('evaluation.npz lacks `image` or `labels`')
  const input = { name: 'image', datatype: 'FP32', shape: image.dims, data: [...viewOf(image, 'float32')] }
  const answer = await client.post<InferAnswer>(`/v2/models/${name}/infer`, { inputs: [input] })
  const logits = answer.outputs[0]?.data ?? []
  return { label: Number(viewOf(labels)[0]), predicted: logits.indexOf(Math.max(...logits)) }
}

async function showTour(client: Client): Promise<void> {
  say(
    `\n$ hasten run examples/digits/digits.onnx --recipe int8-static ${gates.map((gate) => `--gate "${gate}"`).join(' ')}`,
  )
  const { job, exitCode } = await runJob(client, digits('digits.onnx'), {
    recipe: 'int8-static',
    calibration: digits('calibration.npz'),
    eval: digits('evaluation.npz'),
    gate: gates,
    device: 'cpu',
    threads: 1,
    batch: 1,
    report: reportBase,
  })
  if (job.result === null) throw new Error(`the job is ${job.state} and has no result`)
  if (exitCode === 2) say('The original stays on this machine: an honest answer. The demo goes on with it.')
  say(`\n$ hasten deploy ${job.id} --name digits`)
  say(`ready → POST ${await deploy(client, job.id, 'digits')}`)
  const { label, predicted } = await predict(client, 'digits')
  say(`a picture of a ${label} → predicted ${predicted}`)
}

async function main(): Promise<void> {
  const started = Date.now()
  const hasten = await startHasten()
  try {
    await showTour(hasten.client)
  } finally {
    await hasten.stop()
  }
  say(`\nDone in ${Math.round((Date.now() - started) / 1000)} s. Where to look next:`)
  say(`  ${reportBase}.html   the evidence, as you would attach it to a pull request`)
  say('  npm start                 keeps it running: the API on http://127.0.0.1:8080, its docs under /docs')
  say('  README.md                 the same tour in five curls, with your own model')
}

await main().catch(reportFailure)

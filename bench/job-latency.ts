import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { Agent, get, type IncomingMessage, type RequestOptions } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startHasten, type HastenProcess } from '../scripts/lib/hasten-process.ts'
import type { BenchResult } from './result.ts'
import { quantile } from './stats.ts'
import { writeLargeModel } from './support.ts'

const digits = path.resolve(import.meta.dirname, '../examples/digits')
const pollEveryMs = 20

/** How fast the control plane answers while a job keeps both cores busy and a 1 GiB upload runs. */
export async function run(): Promise<BenchResult> {
  const folder = await mkdtemp(path.join(tmpdir(), 'hasten-bench-'))
  const file = path.join(folder, 'large.onnx')
  await writeLargeModel(file, 2 ** 30)
  const hasten = await startHasten({ RATE_LIMIT: '0' })
  try {
    const job = await startBusyJob(hasten)
    const upload = await startUpload(hasten, file)
    const latencies = await pollJob(hasten, job, () => upload.exitCode === null)
    if (upload.exitCode !== 0) throw new Error('the upload failed')
    return summarize(latencies)
  } finally {
    await hasten.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

async function readKey({ dataDir }: HastenProcess): Promise<string> {
  return (await readFile(path.join(dataDir, 'admin-key'), 'utf8')).trim()
}

async function startUpload(hasten: HastenProcess, file: string): Promise<ChildProcess> {
  const args = [hasten.url, await readKey(hasten), file, 'large']
  return fork(path.resolve(import.meta.dirname, 'upload-child.ts'), args)
}

/** A measuring job on two threads; returns once it has left the queue. */
async function startBusyJob({ client }: HastenProcess): Promise<string> {
  const model = await client.upload<{ id: string }>('/v1/models', path.join(digits, 'digits.onnx'), { name: 'digits' })
  const calibration = await client.upload<{ id: string }>('/v1/datasets', path.join(digits, 'calibration.npz'), {
    name: 'calibration',
  })
  const { id } = await client.post<{ id: string }>('/v1/jobs', {
    model: model.id,
    recipe: 'int8-static',
    datasets: { calibration: calibration.id },
    target: { threads: 2, batch: 8 },
  })
  for (;;) {
    const { state } = await client.get<{ state: string }>(`/v1/jobs/${id}`)
    if (state === 'running') return id
    if (state !== 'queued') throw new Error(`the job is ${state}`)
    await delay(100)
  }
}

/** Polls with the plainest client there is: `fetch` alone would be a tenth of what is measured here. */
async function pollJob(hasten: HastenProcess, id: string, going: () => boolean): Promise<number[]> {
  const agent = new Agent({ keepAlive: true })
  const headers = { authorization: `Bearer ${await readKey(hasten)}` }
  const latencies: number[] = []
  while (going()) {
    const started = performance.now()
    await readAnswer(`${hasten.url}/v1/jobs/${id}`, { agent, headers })
    latencies.push(performance.now() - started)
    await delay(pollEveryMs)
  }
  agent.destroy()
  return latencies
}

async function readAnswer(url: string, options: RequestOptions): Promise<void> {
  const [response] = (await once(get(url, options), 'response')) as [IncomingMessage]
  if (response.statusCode !== 200) throw new Error(`${url} answers ${response.statusCode}`)
  response.resume()
  await once(response, 'end')
}

function summarize(latencies: readonly number[]): BenchResult {
  const [p50, p99] = [quantile(latencies, 0.5), quantile(latencies, 0.99)]
  return {
    name: 'job-latency',
    method: `GET /v1/jobs/{id}, ${latencies.length} requests, during a measuring job on two threads and a 1 GiB upload`,
    figures: [
      { name: 'p50', value: p50, unit: 'ms' },
      { name: 'p99', value: p99, unit: 'ms' },
      { name: 'max', value: Math.max(...latencies), unit: 'ms' },
    ],
    targets: [
      { text: 'p50 under 5 ms', met: p50 < 5 },
      { text: 'p99 under 50 ms', met: p99 < 50 },
    ],
  }
}

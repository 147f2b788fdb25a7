import path from 'node:path'
import { createClient, type Client } from '../../src/cli/client.ts'
import { loadConfig } from '../../src/config.ts'
import { openDataset, tensorOf, viewOf, writeNpz } from '../../src/engine/index.ts'
import { startHasten, type HastenProcess } from '../../scripts/lib/hasten-process.ts'

const pixels = 28 * 28

export const digitsFile = (name: string) => path.resolve(import.meta.dirname, '../digits', name)

export interface Digit {
  readonly image: Float32Array
  readonly label: number
}

/** The evaluation digits. */
export async function readDigits(): Promise<Digit[]> {
  const dataset = await openDataset(digitsFile('evaluation.npz'))
  const [{ image }, labels] = await Promise.all([dataset.read(0, dataset.samples), dataset.labels(0, dataset.samples)])
  await dataset.close()
  if (image === undefined || labels === undefined) throw new Error('evaluation.npz lacks `image` or `labels`')
  const values = viewOf(image, 'float32')
  return Array.from(viewOf(labels, 'int64'), (label, index) => {
    return { label: Number(label), image: values.slice(index * pixels, (index + 1) * pixels) }
  })
}

export async function writeDigits(file: string, digits: readonly Digit[]): Promise<void> {
  const image = new Float32Array(digits.length * pixels)
  for (const [index, digit] of digits.entries()) image.set(digit.image, index * pixels)
  const labels = BigInt64Array.from(digits, ({ label }) => BigInt(label))
  await writeNpz(file, {
    image: tensorOf('float32', [digits.length, 1, 28, 28], image),
    labels: tensorOf('int64', [digits.length], labels),
  })
}

/** Hasten from nothing, a client of its API, and one of its data plane. */
export interface Started {
  readonly hasten: HastenProcess
  readonly api: Client
  readonly serve: Client
}

export async function start(): Promise<Started> {
  const hasten = await startHasten()
  const serve = await createClient(loadConfig({ DATA_DIR: hasten.dataDir, HASTEN_URL: hasten.serveUrl }))
  return { hasten, api: hasten.client, serve }
}

export interface Prediction {
  readonly label: number
  /** From the first byte sent to the last received. */
  readonly ms: number
  /** Waiting and running, as the server tells. */
  readonly serverMs: number
  /** `model_version` of the answer. */
  readonly version: string
}

/** Asks for one digit, in binary. */
export async function predict(serve: Client, model: string, { image }: Digit): Promise<Prediction> {
  const header = Buffer.from(
    JSON.stringify({
      inputs: [
        { name: 'image', datatype: 'FP32', shape: [1, 1, 28, 28], parameters: { binary_data_size: 4 * pixels } },
      ],
      parameters: { binary_data_output: true },
    }),
  )
  const body = Buffer.concat([header, new Uint8Array(image.buffer, image.byteOffset, image.byteLength)])
  const headers = { 'inference-header-content-length': String(header.length) }
  const startedAt = performance.now()
  const response = await serve.fetch(`/v2/models/${model}/infer`, { method: 'POST', headers, body })
  const answer = await response.arrayBuffer()
  const ms = performance.now() - startedAt
  const jsonLength = Number(response.headers.get('inference-header-content-length'))
  const { model_version: version } = JSON.parse(Buffer.from(answer, 0, jsonLength).toString()) as {
    model_version: string
  }
  const logits = new Float32Array(answer.slice(jsonLength))
  const serverMs = partOf(response, 'queue') + partOf(response, 'infer')
  return { label: logits.indexOf(Math.max(...logits)), ms, serverMs, version }
}

function partOf({ headers }: Response, name: string): number {
  return Number(new RegExp(`\\b${name};dur=([\\d.]+)`).exec(headers.get('server-timing') ?? '')?.[1] ?? Number.NaN)
}

/** Deploys a first version and adds others, which answer nobody yet. */
export async function deployVersions(api: Client, name: string, models: readonly string[]): Promise<void> {
  const [first, ...others] = models
  await api.post('/v1/deployments', { name, model: first }, { prefer: 'wait=60' })
  for (const model of others) await change(api, name, { model, activate: false })
}

export async function change(api: Client, name: string, patch: object): Promise<void> {
  await api.fetch(`/v1/deployments/${name}`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(patch),
  })
}

/** Waits until the server has these versions. */
export async function untilLoaded(serve: Client, name: string, versions: readonly number[]): Promise<void> {
  for (const version of versions) {
    const isReady = async () =>
      serve.fetch(`/v2/models/${name}/versions/${version}/ready`).then(
        () => true,
        () => false,
      )
    while (!(await isReady())) await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

/** Rows of text in columns of equal width. */
export function printTable(rows: readonly (readonly string[])[]): void {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  for (const row of rows) {
    const cells = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
    )
    process.stdout.write(`  ${cells.join('   ')}\n`)
  }
}

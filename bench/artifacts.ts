import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startHasten, type HastenProcess } from '../scripts/lib/hasten-process.ts'
import type { BenchResult } from './result.ts'
import { estimateRatio } from './stats.ts'
import {
  drain,
  hashAndCopy,
  peakWhile,
  residentBytes,
  rolePid,
  stampFile,
  timed,
  uploadModel,
  writeLargeModel,
} from './support.ts'

const gibibyte = 2 ** 30
const rounds = 4
const maxRatio = 3
const maxMemoryBytes = 150 * 2 ** 20

interface Round {
  readonly uploadRatio: number
  readonly downloadRatio: number
  readonly peakBytes: number
}

/** Upload and download of a 1 GiB model against hashing it and writing it with COPY to the same Postgres. */
export async function run(): Promise<BenchResult> {
  const folder = await mkdtemp(path.join(tmpdir(), 'hasten-bench-'))
  const file = path.join(folder, 'large.onnx')
  await writeLargeModel(file, gibibyte)
  const hasten = await startHasten()
  try {
    await delay(2000)
    const idleBytes = residentBytes(rolePid(hasten, 'api'))
    const measured: Round[] = []
    for (let round = 1; round <= rounds; round += 1) measured.push(await measureRound(hasten, file, round))
    return summarize(measured, idleBytes)
  } finally {
    await hasten.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

async function measureRound(hasten: HastenProcess, file: string, round: number): Promise<Round> {
  await stampFile(file, round)
  const copyMs = await timed(async () => hashAndCopy(hasten, file))
  const pid = rolePid(hasten, 'api')
  let uploadMs = 0
  let downloadMs = 0
  const peakBytes = await peakWhile(pid, async () => {
    let id = ''
    uploadMs = await timed(async () => {
      ;({ id } = await uploadModel(hasten, file, `large-${round}`))
    })
    downloadMs = await timed(async () => drain(await hasten.client.fetch(`/v1/models/${id}/content`)))
    await hasten.client.fetch(`/v1/models/${id}`, { method: 'DELETE' })
  })
  return { uploadRatio: uploadMs / copyMs, downloadRatio: downloadMs / copyMs, peakBytes }
}

function summarize(measured: readonly Round[], idleBytes: number): BenchResult {
  const upload = estimateRatio(measured.map(({ uploadRatio }) => uploadRatio))
  const download = estimateRatio(measured.map(({ downloadRatio }) => downloadRatio))
  const addedBytes = Math.max(...measured.map(({ peakBytes }) => peakBytes)) - idleBytes
  return {
    name: 'artifacts',
    method: `1 GiB model, ${rounds} rounds of (sha256 + COPY, upload, download), interleaved`,
    figures: [
      { name: 'upload / (sha256 + COPY)', value: upload.value, unit: 'x', ci95: upload.ci95 },
      { name: 'download / (sha256 + COPY)', value: download.value, unit: 'x', ci95: download.ci95 },
      { name: 'API resident memory above idle', value: addedBytes / 2 ** 20, unit: 'MiB' },
    ],
    targets: [
      { text: `upload at most ${maxRatio} times`, met: upload.value <= maxRatio },
      { text: `download at most ${maxRatio} times`, met: download.value <= maxRatio },
      { text: 'at most 150 MiB above idle', met: addedBytes <= maxMemoryBytes },
    ],
  }
}

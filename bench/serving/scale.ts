import { fork, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { once } from 'node:events'
import path from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { startHasten, type HastenProcess } from '../../scripts/lib/hasten-process.ts'
import { decodeModel, describeModel, tensorOf } from '../../src/engine/index.ts'
import { openStorage, type Storage } from '../../src/storage/index.ts'
import { buildModel } from '../../test/support/models.ts'
import type { BenchResult } from '../result.ts'
import { estimateMedian, estimateRatio, quantile } from '../stats.ts'
import { residentBytes, rolePid } from '../support.ts'
import type { ExchangeRequest, ExchangeResult } from './exchange-child.ts'
import { ask, binaryInfer, stop } from './servers.ts'

const models = 200
const width = 256
const weightBytes = width * width * 4
const idleMs = 10_000
const rounds = 7
const perRound = 200
const connections = 10_000
const targets = { cpu: 0.05, growth: 1.2, base: 300 * 2 ** 20, latency: 1.15 }
/** The unit of CPU times in /proc, on every Linux. */
const ticksPerSecond = 100

/**
 * One data plane with 200 deployments of models of 256 KiB, each with weights of its own: what it costs when nobody asks,
 * what it adds to a run before and after they were deployed, and what 10,000 connections that say nothing change.
 */
export async function run(): Promise<BenchResult> {
  const hasten = await startHasten({ AUTH: 'none', RATE_LIMIT: '0' })
  const client = fork(path.join(import.meta.dirname, 'exchange-child.ts'), { serialization: 'advanced' })
  const sockets: Socket[] = []
  const connectionString = (await readFile(path.join(hasten.dataDir, 'database-url'), 'utf8')).trim()
  const storage = await openStorage({ connectionString })
  try {
    const pid = rolePid(hasten, 'serve')
    await deploy(storage, hasten, 0, 1)
    const empty = residentBytes(pid)
    const alone = await latencies(client, hasten)
    await deploy(storage, hasten, 1, models)
    const many = await latencies(client, hasten)
    const cpu = await idleShare(pid)
    const resident = residentBytes(pid)
    const opened = await openSockets(hasten, sockets)
    const crowded = await latencies(client, hasten)
    const withSockets = residentBytes(pid)
    return report({ alone, many, crowded, cpu, empty, resident, opened, withSockets })
  } finally {
    for (const socket of sockets) socket.destroy()
    await stop(client)
    await storage.close()
    await hasten.stop()
  }
}

/** Writes deployments as the API does, without the process that inspects each upload, and waits until all answer. */
async function deploy(storage: Storage, { serveUrl }: HastenProcess, from: number, to: number): Promise<void> {
  for (let number = from; number < to; number++) {
    const bytes = buildLayer(number)
    const { sha256, sizeBytes } = await storage.artifacts.write(Readable.from([bytes]), { maxBytes: 2 ** 30 })
    const files = [{ name: 'model.onnx', sha256, sizeBytes }]
    const signature = describeModel(decodeModel(bytes), sizeBytes)
    const { id } = await storage.models.create({ project: 'default', name: nameOf(number), files, signature })
    await storage.deployments.create({ project: 'default', name: nameOf(number), modelId: id })
  }
  for (let number = from; number < to; number++) {
    while (!(await fetch(`${serveUrl}/v2/models/${nameOf(number)}/ready`)).ok) await sleep(50)
  }
}

function nameOf(number: number): string {
  return number === 0 ? 'cls' : `scale-${number}`
}

function buildLayer(seed: number): Uint8Array {
  const weights = Float32Array.from({ length: width * width }, (_, index) => Math.sin(index * (seed + 1)))
  return buildModel({
    inputs: { x: ['float32', ['N', width]] },
    outputs: { y: ['float32', ['N', width]] },
    initializers: { w: tensorOf('float32', [width, width], weights) },
    nodes: [['MatMul', ['x', 'w'], ['y']]],
  })
}

/** By round, the median that is added to a run of the first deployment. */
async function latencies(client: ChildProcess, { serveUrl }: HastenProcess): Promise<readonly number[]> {
  const message = binaryInfer('x', [1, width], new Float32Array(width).fill(0.5))
  const medians: number[] = []
  for (let round = -1; round < rounds; round++) {
    const request: ExchangeRequest = { origin: serveUrl, ...message, count: perRound }
    const { ms, inferMs } = await ask<ExchangeResult>(client, request)
    if (round >= 0) medians.push(quantile(ms, 0.5) - quantile(inferMs, 0.5))
  }
  return medians
}

/** Share of one core that a process takes when nobody asks it. */
async function idleShare(pid: number): Promise<number> {
  const before = cpuTicks(pid)
  await sleep(idleMs)
  return (cpuTicks(pid) - before) / ticksPerSecond / (idleMs / 1000)
}

function cpuTicks(pid: number): number {
  const [, after = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')
  const fields = after.split(' ')
  return Number(fields[11]) + Number(fields[12])
}

/** Connections that say nothing, as many as this host lets one process open; their number. */
async function openSockets({ serveUrl }: HastenProcess, sockets: Socket[]): Promise<number> {
  const { hostname, port } = new URL(serveUrl)
  while (sockets.length < connections) {
    const socket = connect({ host: hostname, port: Number(port) })
    try {
      await once(socket, 'connect')
    } catch {
      return sockets.length
    }
    socket.on('error', () => {})
    sockets.push(socket)
  }
  return sockets.length
}

interface Measured {
  readonly alone: readonly number[]
  readonly many: readonly number[]
  readonly crowded: readonly number[]
  readonly cpu: number
  readonly empty: number
  readonly resident: number
  readonly opened: number
  readonly withSockets: number
}

function report({ alone, many, crowded, cpu, empty, resident, opened, withSockets }: Measured): BenchResult {
  const mebibyte = 2 ** 20
  const bound = targets.growth * models * weightBytes + targets.base
  const against = (after: readonly number[]) =>
    estimateRatio(after.map((ms, round) => ms / (alone[round] ?? Number.NaN)))
  const [grown, beside] = [against(many), against(crowded)]
  return {
    name: 'scale',
    method: `hasten start, ${models} deployments of ${weightBytes / 1024} KiB; ${rounds} rounds of ${perRound} requests before and after`,
    figures: [
      { name: 'CPU when nobody asks', value: cpu * 100, unit: '% of a core' },
      { name: 'resident memory with 1', value: empty / mebibyte, unit: 'MiB' },
      { name: `resident memory with ${models}`, value: resident / mebibyte, unit: 'MiB' },
      { name: 'weights of all', value: (models * weightBytes) / mebibyte, unit: 'MiB' },
      { name: 'added to a run, with 1', ...estimateMedian(alone), unit: 'ms' },
      { name: `added to a run, with ${models}`, ...estimateMedian(many), unit: 'ms' },
      { name: 'ratio', ...grown, unit: '×' },
      { name: 'idle connections', value: opened, unit: '' },
      { name: 'added to a run beside them / before', ...beside, unit: '×' },
      { name: 'memory they take', value: (withSockets - resident) / mebibyte, unit: 'MiB' },
    ],
    targets: [
      { text: `idle CPU at most ${targets.cpu * 100} % of a core`, met: cpu <= targets.cpu },
      { text: `memory at most ${Math.round(bound / mebibyte)} MiB (1.2 × weights + 300 MiB)`, met: resident <= bound },
      { text: `added latency unchanged (within ${targets.latency})`, met: grown.value <= targets.latency },
      { text: `and beside ${opened} idle connections`, met: beside.value <= targets.latency },
    ],
  }
}

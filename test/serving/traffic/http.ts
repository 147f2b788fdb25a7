import { newId } from '../../../src/storage/index.ts'
import type { Traffic } from '../../../src/storage/index.ts'
import { startTraffic } from '../../../src/serving/traffic/start.ts'
import { createMetrics } from '../../../src/telemetry.ts'
import { eventually, project, untilReady, type Bench } from '../deployments/support.ts'
import { silentLogger } from '../support.ts'

/** A deployment of these models as versions, the first one active. */
export async function deployVersions(bench: Bench, name: string, models: readonly Uint8Array[], traffic: Traffic) {
  const stored = await Promise.all(models.map(async (bytes) => bench.store(name, bytes)))
  const [first, ...others] = stored.map(({ id: modelId }) => ({ modelId }))
  await bench.storage.deployments.create({ project, name, ...first! })
  for (const other of others) await bench.storage.deployments.addVersion(project, name, { ...other, activate: false })
  return (await bench.storage.deployments.update(project, name, { traffic }))!
}

/** A serve process with traffic, ready with these versions. */
export async function serveTraffic(bench: Bench, name: string, versions: readonly number[]) {
  const metrics = createMetrics()
  const serverId = newId('srv')
  const deps = { storage: bench.storage, logger: silentLogger(), metrics, serverId, everyMs: 50 }
  const traffic = startTraffic(deps)
  const { url, deployments } = await bench.serve({ traffic: traffic.traffic, serverId })
  for (const version of versions) await untilReady(url, name, version)
  const ask = async (row: readonly number[], { path = '', key }: { path?: string; key?: string } = {}) => {
    const input = { name: 'x', datatype: 'FP32', shape: [1, row.length], data: row }
    const response = await fetch(`${url}/v2/models/${name}${path}/infer`, {
      method: 'POST',
      body: JSON.stringify({ inputs: [input], outputs: [{ name: 'scores' }] }),
      headers: key === undefined ? {} : { 'x-hasten-route-key': key },
    })
    const answer = (await response.json()) as { model_version: string; outputs?: { data: number[] }[] }
    return { status: response.status, version: answer.model_version, data: answer.outputs?.[0]?.data }
  }
  return { url, ask, deployments, metrics, traffic, serverId }
}

/** What a server wrote of a version under a topic, once `isEnough` says so. */
export async function figuresOf<Figures>(
  bench: Bench,
  deployment: { readonly id: string },
  { version, topic }: { readonly version: number; readonly topic: string },
  isEnough: (figures: Figures) => boolean,
): Promise<Figures> {
  return eventually(async () => {
    const rows = await bench.storage.deployments.listFigures(deployment.id)
    const figures = rows.find((row) => row.version === version)?.figures[topic] as Figures | undefined
    return figures !== undefined && isEnough(figures) ? figures : undefined
  })
}

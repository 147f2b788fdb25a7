import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { startHasten, type HastenProcess } from '../scripts/lib/hasten-process.ts'
import type { JobView } from '../src/cli/evidence.ts'
import { resourceName } from '../src/cli/run.ts'
import { createOrtRuntime } from '../src/engine/runtime/ort/index.ts'
import { fixtureModels } from '../test/support/fixture-models.ts'
import { vadModels, writeSpeech } from '../test/support/speech.ts'
import { prepareCases } from './matrix/cases.ts'
import type { BenchResult } from './result.ts'

const recipes = ['lossless', 'int8-static', 'int8-dynamic', 'int8-mixed', 'w4', 'fp16'] as const

/** Recipes that choose ranges from samples: without a dataset they must say so. */
const withoutData = ['int8-static', 'int8-mixed'] as const

interface RunCase {
  readonly name: string
  readonly model: string
  readonly calibration: string
  readonly evaluation: string
  readonly gate: string
}

interface Ended {
  readonly model: string
  readonly recipe: string
  readonly exitCode: number | null
  readonly output: string
  /** Undefined for a job that was refused or failed. */
  readonly verdict: NonNullable<JobView['verdict']> | undefined
}

const command = path.resolve(import.meta.dirname, '../bin/hasten.mjs')

/**
 * `hasten run` of six recipes on nine models, as a user types it. Every run must end with a better model, or with a
 * sentence that says why there is none; none may end with a stack trace, nor with a slower model as its result.
 */
export async function run(only: (name: string) => boolean = () => true): Promise<BenchResult> {
  const folder = await mkdtemp(path.join(tmpdir(), 'hasten-recipes-'))
  const hasten = await startHasten({ MEASURE_BUDGET_MS: '3000', RATE_LIMIT: '0' })
  try {
    const ended: Ended[] = []
    for (const listed of (await prepareRuns(folder)).filter(({ name }) => only(name))) {
      const each = await uploadFiles(hasten, listed)
      for (const recipe of recipes) ended.push(await runCommand(hasten, folder, each, recipe, true))
      for (const recipe of withoutData) ended.push(await runCommand(hasten, folder, each, recipe, false))
    }
    return summarize(ended)
  } finally {
    await hasten.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

async function prepareRuns(folder: string): Promise<RunCase[]> {
  const cases = await prepareCases(folder)
  const alike = cases.map((each) => Object.assign(each, { gate: `${each.metric} >= ${each.floor}` }))
  const trees = { name: 'boosted trees', ...fixtureModels.boostedTrees, gate: 'agreement >= 0.97' }
  return [...alike, trees, await recordSpeech(folder, 'v5'), await recordSpeech(folder, 'legacy')]
}

async function recordSpeech(folder: string, version: keyof typeof vadModels): Promise<RunCase> {
  const runtime = createOrtRuntime()
  const { model } = vadModels[version]
  const write = async (part: string, seed: number) => {
    const file = path.join(folder, `vad-${version}.${part}.npz`)
    await writeSpeech(runtime, file, vadModels[version], { windows: 256, seed })
    return file
  }
  const calibration = await write('calibration', 1)
  const evaluation = await write('evaluation', 2)
  return { name: `Silero VAD ${version}`, model, calibration, evaluation, gate: 'cosine >= 0.99' }
}

/** The case with ids in place of files: what every run would upload is uploaded once. */
async function uploadFiles({ client }: HastenProcess, each: RunCase): Promise<RunCase> {
  const name = resourceName(each.name)
  const upload = async (path: string, file: string) => (await client.upload<{ id: string }>(path, file, { name })).id
  return {
    ...each,
    model: await upload('/v1/models', each.model),
    calibration: await upload('/v1/datasets', each.calibration),
    evaluation: await upload('/v1/datasets', each.evaluation),
  }
}

async function runCommand(
  { url, dataDir, client }: HastenProcess,
  folder: string,
  { name, model, calibration, evaluation, gate }: RunCase,
  recipe: string,
  hasData: boolean,
): Promise<Ended> {
  const report = path.join(folder, 'report')
  const data = hasData ? ['--calibration', calibration, '--eval', evaluation] : []
  const child = spawn(
    process.execPath,
    [command, 'run', model, '--recipe', recipe, ...data, '--gate', gate, '--report', report],
    { env: { ...process.env, HASTEN_URL: url, DATA_DIR: dataDir }, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  const chunks: Buffer[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  const [exitCode] = (await once(child, 'close')) as [number | null]
  const output = Buffer.concat(chunks).toString()
  const label = hasData ? recipe : `${recipe}, no data`
  process.stdout.write(`\n== ${name} · ${label} → exit ${exitCode}\n${output}`)
  const id = /^job_\w+/m.exec(output)?.[0]
  const verdict = id === undefined ? undefined : ((await client.get<JobView>(`/v1/jobs/${id}`)).verdict ?? undefined)
  return { model: name, recipe: label, exitCode, output, verdict }
}

function summarize(ended: readonly Ended[]): BenchResult {
  process.stdout.write(
    `\n${['| model | recipe | exit | speedup | likeness | size | |', '| --- | --- | --- | --- | --- | --- | --- |', ...ended.map(describe), ''].join('\n')}`,
  )
  const odd = (isOdd: (each: Ended) => boolean) => ended.filter(isOdd).map(({ model, recipe }) => `${model} ${recipe}`)
  const target = (text: string, names: readonly string[]) => ({
    text: names.length === 0 ? text : `${text}: not ${names.join('; ')}`,
    met: names.length === 0,
  })
  return {
    name: 'recipes',
    method: `hasten run, ${ended.length} times`,
    figures: [{ name: 'runs', value: ended.length, unit: 'jobs' }],
    targets: [
      target(
        'every run ends with exit code 0, 1 or 2',
        odd(({ exitCode }) => ![0, 1, 2].includes(exitCode ?? -1)),
      ),
      target(
        'with data no run ends with an error',
        odd(({ recipe, exitCode }) => !recipe.includes(',') && exitCode === 1),
      ),
      target(
        'no output has a stack trace',
        odd(({ output }) => /^\s+at .+:\d+/m.test(output)),
      ),
      target(
        'no result is slower',
        odd(({ exitCode, verdict }) => exitCode === 0 && (verdict?.speedup.ci95[1] ?? 0) < 1),
      ),
      target(
        'what stays has a reason',
        odd(({ exitCode, verdict }) => exitCode === 2 && !verdict?.reason.endsWith('.')),
      ),
    ],
  }
}

const likenesses = ['top1', 'agreement', 'cosine']

function describe({ model, recipe, exitCode, output, verdict }: Ended): string {
  if (verdict === undefined) return `| ${model} | ${recipe} | ${exitCode} | | | | ${output.trim().split('\n').at(-1)} |`
  const { p50, ci95 } = verdict.speedup
  const speed = `${p50.toFixed(2)} [${ci95.map((bound) => bound.toFixed(2)).join(', ')}]`
  const quality = verdict.quality
    .filter(({ metric }) => likenesses.includes(metric))
    .map(({ metric, baseline, optimized }) =>
      [metric, ...(baseline === null ? [] : [baseline.toFixed(3), '→']), optimized.toFixed(3)].join(' '),
    )
  const size = `${(verdict.size_ratio * 100).toFixed(0)} %`
  return `| ${model} | ${recipe} | ${exitCode} | ${speed} | ${quality.join(', ')} | ${size} | ${verdict.reason} |`
}

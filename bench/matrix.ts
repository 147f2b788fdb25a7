import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { python } from './child.ts'
import { makeOurs, makeTheirs, openHost, type Artifact, type Host } from './matrix/artifacts.ts'
import { prepareCases, type MatrixCase } from './matrix/cases.ts'
import { pairFastest, type Candidate, type Pairing } from './matrix/choose.ts'
import { compareFastest, judgeArtifacts } from './matrix/judge.ts'
import type { BenchResult } from './result.ts'

const threads = 1
const budgetMs = 8000
const gain = 1.05
const gainsWanted = 4

const name = 'matrix'
const method = `one sample a run, ${threads} runtime thread, interleaved; agreement with the original in brackets`
const targets = {
  asFast: "at least as fast as the best of Python's on all six",
  faster: `at least 5 % faster on ${gainsWanted}`,
}

interface Row {
  readonly name: string
  readonly pair: Pairing
  readonly speedup: number
  readonly ci95: readonly [low: number, high: number]
  readonly significance: 'faster' | 'same' | 'slower'
}

/**
 * For six models, the fastest that our recipes make against the fastest that onnxruntime's Python tools make, ours
 * agreeing with the original at least as well on data that neither has seen. Without Python there is nothing to compare.
 */
export async function run(only: (name: string) => boolean = () => true): Promise<BenchResult> {
  if (python === undefined) return leaveOut()
  const folder = await mkdtemp(path.join(tmpdir(), 'hasten-matrix-'))
  const host = await openHost(threads)
  try {
    const rows: Row[] = []
    for (const each of await prepareCases(folder)) {
      if (only(each.name)) rows.push(await measureCase(each, path.join(folder, each.name), host, python))
    }
    return summarize(rows)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function measureCase(each: MatrixCase, folder: string, host: Host, interpreter: string): Promise<Row> {
  const ours = await makeOurs(each, path.join(folder, 'ours'), host)
  const theirs = await makeTheirs(each, path.join(folder, 'theirs'), interpreter)
  const prefixed = theirs.map((artifact): Artifact => Object.assign(artifact, { name: `python ${artifact.name}` }))
  const candidates = await judgeArtifacts(each, [...ours, ...prefixed], host)
  process.stdout.write(describe(each, candidates, [...ours, ...prefixed]))
  const [original, ...made] = candidates as [Candidate, ...Candidate[]]
  const [their, own] = [true, false].map((wanted) => made.filter(({ name }) => name.startsWith('python ') === wanted))
  const pair = pairFastest(original, their ?? [], own ?? [], each.floor)
  const evidence = await compareFastest(each, { theirs: pair.theirs.path, ours: pair.ours.path }, host, budgetMs)
  const { p50, ci95 } = evidence.speedup
  return { name: each.name, pair, speedup: p50, ci95, significance: evidence.significance }
}

/** All that was made, so that a lost comparison can be understood. */
function describe({ name, metric }: MatrixCase, candidates: readonly Candidate[], made: readonly Artifact[]): string {
  const lines = candidates
    .toSorted((a, b) => a.leastMs - b.leastMs)
    .map((each) => `  ${each.name.padEnd(36)} ${each.leastMs.toFixed(3)} ms  ${metric} ${each.score.toFixed(4)}`)
  const failed = made
    .filter((artifact) => !candidates.some((each) => each.name === artifact.name))
    .map((artifact) => `  ${artifact.name.padEnd(36)} ${'error' in artifact ? artifact.error : 'does not run'}`)
  return [`\n${name}`, ...lines, ...failed, ''].join('\n')
}

function summarize(rows: readonly Row[]): BenchResult {
  const figures = rows.map(({ name, pair, speedup, ci95 }) => {
    const agreements = [pair.ours, pair.theirs].map((side) => `${side.name} (${side.score.toFixed(4)})`)
    return { name: `${name}: ${agreements.join(' against ')}`, value: speedup, unit: 'x', ci95 }
  })
  const asFast = rows.filter(({ significance }) => significance !== 'slower')
  const faster = rows.filter(({ significance, speedup }) => significance === 'faster' && speedup >= gain)
  return {
    name,
    method,
    figures,
    targets: [
      { text: targets.asFast, met: asFast.length === rows.length },
      { text: targets.faster, met: faster.length >= gainsWanted },
    ],
  }
}

function leaveOut(): BenchResult {
  const leftOut = Object.values(targets).map((text) => `${text} (HASTEN_BENCH_PYTHON is not set)`)
  return { name, method, figures: [], targets: [], leftOut }
}

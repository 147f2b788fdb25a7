import type { CandidateRow, JobDetail, JsonObject } from '../../../src/storage/index.ts'

const at = (second: number) => new Date(Date.UTC(2026, 10, 24, 12, 0, second))

function candidate(role: CandidateRow['role'], p50: number, size: number): CandidateRow {
  const percentiles = Array.from({ length: 101 }, (_, index) => p50 * (0.9 + index / 500))
  return {
    id: `cnd_${role}`,
    jobId: 'job_1',
    name: role,
    role,
    modelId: null,
    options: {},
    measurement: {
      latency: { p50_ms: p50, p90_ms: p50 * 1.1, p95_ms: p50 * 1.2, p99_ms: p50 * 1.5, percentiles_ms: percentiles },
      throughput: 1000 / p50,
      frames_per_second: 8000 / p50,
      cold_start_ms: 40,
      peak_memory_bytes: 50e6,
      size_bytes: size,
    },
    quality: {},
    createdAt: at(30),
  }
}

export const sampleVerdict: JsonObject = {
  passed: true,
  significance: 'faster',
  speedup: { p50: 2.5, ci95: [2.4, 2.6] },
  noise: { p50: 1, ci95: [0.98, 1.03] },
  size_ratio: 0.26,
  quality_basis: { task: 'classification', samples: 2000, generated: false },
  method: { batch: 8, threads: 1, rounds: 30 },
  quality: [
    { metric: 'top1', output: 'y', baseline: 0.987, optimized: 0.985, delta: -0.002, ci95: [-0.006, 0.001] },
    { metric: 'mae', output: 'y', baseline: 0.1, optimized: 0.3, delta: 0.2, ci95: [0.1, 0.3] },
    { metric: 'agreement', output: 'y', baseline: null, optimized: 0.995, delta: null, ci95: [0.99, 1] },
  ],
  gates: [
    { expr: 'p50 <= 0.8 * baseline', passed: true, value: 2, threshold: 4, detail: 'p50 is 2 ms, wanted <= 4 ms' },
  ],
}

/** A job that ended well, with what a test wants to differ. */
export function sampleJob(changes: Partial<JobDetail> = {}): JobDetail {
  return {
    id: 'job_1',
    project: 'default',
    modelId: 'mdl_1',
    recipe: {
      id: null,
      name: 'int8-static',
      version: 1,
      body: { version: 1, steps: [{ pass: 'simplify', options: {} }] },
    },
    datasets: {},
    target: { device: 'cpu', threads: 1, batch: 8, host: null, labels: {} },
    gates: ['p50 <= 0.8 * baseline'],
    metadata: { git_sha: 'abc' },
    webhook: null,
    state: 'succeeded',
    stage: null,
    attempt: 1,
    maxAttempts: 3,
    hostId: 'hst_1',
    leaseExpiresAt: null,
    notBefore: null,
    deadlineAt: null,
    cancelRequestedAt: null,
    cancelReason: null,
    queue: 'cpu',
    progress: null,
    placement: { host: 'hst_1', device: 'Xeon', provider: 'CPUExecutionProvider', fallback_nodes: 0, isa: ['avx2'] },
    verdict: sampleVerdict,
    warnings: [{ code: 'int8_not_accelerated', hint: 'No VNNI here.' }],
    error: null,
    resultModelId: 'mdl_2',
    retryOf: null,
    createdAt: at(0),
    startedAt: at(1),
    finishedAt: at(40),
    lastEventSeq: 12,
    attempts: [{ n: 1, state: 'succeeded', reason: null, hostId: 'hst_1', pid: 1, startedAt: at(1), endedAt: at(40) }],
    stages: [
      {
        attempt: 1,
        position: 0,
        name: 'optimize',
        state: 'succeeded',
        startedAt: at(2),
        endedAt: at(9),
        notes: [{ node: 'conv1', op: 'Conv', action: 'skipped', reason: 'depthwise' }],
      },
    ],
    candidates: [candidate('baseline', 5, 4e6), candidate('chosen', 2, 1e6)],
    queuePosition: null,
    files: [],
    ...changes,
  }
}

import type { Node } from '../ir/graph.ts'
import type { Model } from '../ir/model.ts'
import { measureInChild } from '../measure/fork.ts'
import type { RuntimeModule } from '../measure/protocol.ts'
import type { KernelCache, KernelTable, KernelTimes } from './cache.ts'
import {
  isSlower,
  kernelForms,
  kernelMacs,
  keyOf,
  weightElements,
  type Kernel,
  type KernelForm,
  type Timed,
} from './kernel.ts'
import { fitBoundaries, probes, type BoundaryCosts } from './boundary.ts'
import { hostKey, type OracleHost } from './host.ts'
import { buildIdleModel, buildMicroModel, type MicroModel } from './micro-model.ts'
import { readKernels, type InputDims } from './read-kernel.ts'

/** How fast this host runs the nodes of a model in other forms. */
export interface KernelAdvice {
  /** Microseconds of a node by form; undefined where its kernel isn't known. */
  timesOf(node: Node): KernelTimes | undefined
  /** Why a node should stay float: the form is certainly slower here. Undefined when it isn't, or nobody knows. */
  slower(node: Node, form: KernelForm): string | undefined
  /** The work of a node, where its sizes are known and its weights constant. */
  kernelOf(node: Node): Kernel | undefined
}

export interface KernelOracle {
  /** Names the host and runtime that its answers hold for. */
  readonly host: string
  /**
   * Measures the kernels of a model that nobody has measured yet, the costliest first, within a time budget.
   * @param atMost of the costliest kernels are looked at; all without it
   */
  consult(
    model: Model,
    inputs: InputDims,
    forms: readonly KernelForm[],
    signal?: AbortSignal,
    atMost?: number,
  ): Promise<KernelAdvice>
  /**
   * Microseconds of kernels in float by `keyOf`, the costliest of the unknown ones measured first, within the budget.
   * What is not known after that is not there.
   */
  time(kernels: readonly Kernel[], signal?: AbortSignal): Promise<ReadonlyMap<string, number>>
}

/** An oracle that also knows what lies between kernels. */
export interface ForecastOracle extends KernelOracle {
  /** What converting between float and integers costs here. */
  boundaries(signal?: AbortSignal): Promise<BoundaryCosts>
  /** Microseconds of a whole model, timed as kernels are, so that one can be taken from the other. */
  timeModel(model: MicroModel, signal?: AbortSignal): Promise<number | undefined>
}

export interface OracleOptions {
  readonly host: OracleHost
  readonly runtime: RuntimeModule
  readonly cache: KernelCache
  /** Milliseconds that one model's unknown kernels may take together. */
  readonly budgetMs?: number
}

const defaultBudgetMs = 3000
const timeoutMs = 60_000
/** A conversion of few elements is easily disturbed: what came to nothing is measured again, so many times in all. */
const boundaryAttempts = 4
const modelMs = 300

/** An oracle for one host: micro-benchmarks in a process of its own, remembered by kernel. */
export function createOracle({ host, runtime, cache, budgetMs = defaultBudgetMs }: OracleOptions): ForecastOracle {
  return {
    host: hostKey(host),
    async consult(model, inputs, forms, signal, atMost) {
      const kernels = readKernels(model, inputs)
      const distinct = [...new Map([...kernels.values()].map((kernel) => [keyOf(kernel), kernel]))]
      const known = await cache.read(distinct.map(([key]) => key))
      const costliest = distinct.toSorted(([, a], [, b]) => kernelMacs(b) - kernelMacs(a)).slice(0, atMost)
      const wanted = costliest.flatMap(([key, kernel]) => planHeat(kernel, forms, known[key]))
      const measured = await race(wanted, { runtime, threads: host.threads, budgetMs, signal })
      if (Object.keys(measured).length > 0) await cache.add(measured)
      return adviceOf(kernels, { ...known, ...measured })
    },
    async boundaries(signal) {
      const known: Record<string, KernelTimes> = { ...(await cache.read(probes.map(keyOf))) }
      for (let attempt = 0; attempt < boundaryAttempts; attempt++) {
        const missing = probes.flatMap((probe) => planHeat(probe, ['quantize', 'dequantize'], known[keyOf(probe)]))
        if (missing.length === 0) break
        const measured = await race(missing, { runtime, threads: host.threads, budgetMs, signal })
        await cache.add(measured)
        Object.assign(known, measured)
      }
      return fitBoundaries(known)
    },
    async timeModel(model, signal) {
      if (model.bytes.byteLength > maxRequestBytes) return undefined
      const [[run] = []] = await raceModels([[model]], { runtime, threads: host.threads, budgetMs: modelMs, signal })
      return run == null ? undefined : run * 1000
    },
    async time(kernels, signal) {
      const distinct = new Map(kernels.map((kernel) => [keyOf(kernel), kernel]))
      const known = await cache.read([...distinct.keys()])
      const missing = [...distinct].flatMap(([key, kernel]): PlannedHeat[] =>
        known[key]?.['fp32'] == null
          ? [{ kernel, forms: ['fp32'], known: known[key] ?? {}, macs: kernelMacs(kernel) }]
          : [],
      )
      const wanted = missing.toSorted((a, b) => b.macs - a.macs)
      const measured = await race(wanted, { runtime, threads: host.threads, budgetMs, signal })
      if (wanted.length > 0) await cache.add(measured)
      const table: KernelTable = { ...known, ...measured }
      return new Map(
        [...distinct.keys()].flatMap((key) => {
          const micros = table[key]?.['fp32']
          return micros == null ? [] : [[key, micros]]
        }),
      )
    },
  }
}

function adviceOf(kernels: ReadonlyMap<Node, Kernel>, table: KernelTable): KernelAdvice {
  const timesOf = (node: Node) => {
    const kernel = kernels.get(node)
    return kernel && table[keyOf(kernel)]
  }
  return {
    timesOf,
    kernelOf: (node) => kernels.get(node),
    slower(node, form) {
      const times = timesOf(node)
      const [fp32, other] = [times?.['fp32'], times?.[form]]
      if (fp32 == null || other == null || !isSlower(other, fp32)) return undefined
      return `the oracle says slower: ${other.toFixed(1)} µs against ${fp32.toFixed(1)} µs on this host`
    },
  }
}

interface PlannedHeat {
  readonly kernel: Timed
  readonly forms: readonly KernelForm[]
  readonly known: KernelTimes
  readonly macs: number
}

/** The forms of a kernel that were not measured; float runs along, so that both meet the same moment. */
function planHeat(kernel: Timed, wanted: readonly KernelForm[], known: KernelTimes = {}): PlannedHeat[] {
  const possible = (kernelForms[kernel.op] as readonly KernelForm[]).filter(
    (form) => form !== 'fp32' && wanted.includes(form),
  )
  const forms = possible.filter((form) => known[form] === undefined)
  return forms.length === 0 ? [] : [{ kernel, forms: ['fp32', ...forms], known, macs: kernelMacs(kernel) }]
}

interface RaceContext {
  readonly runtime: RuntimeModule
  readonly threads: number
  readonly budgetMs: number
  readonly signal: AbortSignal | undefined
}

/** All models of one request pass through memory twice; kernels beyond this stay unknown. */
const maxRequestBytes = 2 ** 28

/** Milliseconds of each model of each heat, the least that was seen; null for one that the runtime can't load. */
async function raceModels(
  heats: readonly (readonly MicroModel[])[],
  { runtime, threads, budgetMs, signal }: RaceContext,
): Promise<readonly (readonly (number | null)[])[]> {
  const { heats: results } = await measureInChild<'race'>(
    {
      kind: 'race',
      runtime,
      budgetMs,
      session: { intraOpThreads: threads },
      heats: heats.map((models) => ({
        models: models.map(({ bytes }) => bytes),
        inputs: models.map(({ feeds }) => feeds),
      })),
    },
    { timeoutMs, signal },
  )
  return results
}

async function race(planned: readonly PlannedHeat[], context: RaceContext): Promise<KernelTable> {
  const heats = buildHeats(planned)
  if (heats.length === 0) return {}
  const results = await raceModels(
    heats.map(({ models }) => models),
    context,
  )
  return Object.fromEntries(
    results.flatMap((times, index) => {
      const heat = heats[index]
      return heat === undefined ? [] : [[keyOf(heat.planned.kernel), readTimes(heat, times)]]
    }),
  )
}

interface BuiltHeat {
  readonly planned: PlannedHeat
  readonly copies: number
  readonly models: readonly MicroModel[]
  /** The form of each model after the idle one. */
  readonly forms: readonly KernelForm[]
}

function buildHeats(planned: readonly PlannedHeat[]): BuiltHeat[] {
  const heats: BuiltHeat[] = []
  let bytes = 0
  for (const each of planned) {
    const heat = buildHeat(each)
    bytes += heat.models.reduce((sum, model) => sum + model.bytes.byteLength, 0)
    if (bytes > maxRequestBytes) break
    heats.push(heat)
  }
  return heats
}

/** Multiply-accumulates of one model: enough that a run takes longer than asking for it does. */
const targetMacs = 4e6
const maxWeightElements = 4e6
const maxCopies = 8

function buildHeat(planned: PlannedHeat): BuiltHeat {
  const { kernel } = planned
  const wanted = Math.min(
    maxCopies,
    Math.ceil(targetMacs / planned.macs),
    Math.floor(maxWeightElements / weightElements(kernel)),
  )
  const copies = Math.max(1, wanted)
  const built = planned.forms.flatMap((form) => {
    const model = buildMicroModel(kernel, form, copies)
    return model === undefined ? [] : [{ form, model }]
  })
  const [first] = built
  const idle = first === undefined ? [] : [buildIdleModel(first.model)]
  const models = [...idle, ...built.map(({ model }) => model)]
  return { planned, copies, models, forms: built.map(({ form }) => form) }
}

function readTimes({ planned, copies, forms }: BuiltHeat, runs: readonly (number | null)[]): KernelTimes {
  const [idle, ...rest] = runs
  const impossible = planned.forms.map((form): [string, null] => [form, null])
  const times = new Map<string, number | null>([...Object.entries(planned.known), ...impossible])
  for (const [index, form] of forms.entries()) {
    const run = rest[index]
    if (run == null) continue
    const micros = ((run - (idle ?? 0)) * 1000) / copies
    // A disturbed run says nothing; the next model with this kernel asks again.
    if (micros > 0) times.set(form, micros)
    else times.delete(form)
  }
  return Object.fromEntries(times)
}

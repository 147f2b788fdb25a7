import type { AdviceNeed } from './need.ts'

/** What of a worker's host decides which kernels the runtime picks. */
export interface AdviceHost {
  readonly device: string
  readonly isa: readonly string[]
  readonly cores: number
}

/** How many times as fast the kinds of work are in a form, by rule of thumb. */
export interface HostFactors {
  /** In a sentence or two: what the factors follow from. */
  readonly basis: string
  readonly convolution: number
  readonly product: number
  /** Of one row: bound by how fast weights come from memory. */
  readonly row: number
  /** float16 arithmetic. */
  readonly half: number
  readonly isGpu: boolean
}

const dotProducts = ['avx512_vnni', 'avx_vnni', 'amx_int8', 'asimddp', 'i8mm']

const accelerated = { convolution: 2.8, product: 3.9, row: 4, half: 1, isGpu: false }
const emulated = { convolution: 1.6, product: 1.7, row: 2.5, half: 1, isGpu: false }
const gpu = { convolution: 1, product: 1, row: 1, half: 1.7, isGpu: true }

/** int8 factors as measured on hosts with and without 8-bit dot products; careful ones where nobody knows. */
export function hostFactors(host: AdviceHost | undefined, need: AdviceNeed): HostFactors {
  if (host === undefined) return { ...emulated, basis: 'No live worker tells its CPU, so careful figures are used.' }
  if (host.device !== 'cpu') return { ...gpu, basis: `A ${host.device} device computes in float16 natively.` }
  const found = dotProducts.find((feature) => host.isa.includes(feature))
  const factors =
    found === undefined
      ? { ...emulated, basis: 'The CPU has no 8-bit dot product, so int8 gains about half of what it could.' }
      : { ...accelerated, basis: `The CPU multiplies 8-bit integers natively (${found}).` }
  return need.goal === 'throughput' ? shareMemory(factors, host, need) : shareThreads(factors, need)
}

/** Most that a product of one row gains: its weights come from memory, and 4 bits are an eighth of them. */
const mostOfRow = 6
const memoryShare = 1.5

/** Many runs at a time read weights from the same memory: what reads fewer bytes gains more than it would alone. */
function shareMemory(factors: HostFactors, { cores }: AdviceHost, { batch }: AdviceNeed): HostFactors {
  if (cores < 2 || batch > 1) return factors
  const basis = `${factors.basis} Runs on ${cores} cores read weights from one memory, so small weights help more.`
  return { ...factors, row: Math.min(mostOfRow, factors.row * memoryShare), basis }
}

/** Share of a run that its threads wait for each other, for each doubling of them. */
const waitingShare = 0.05

/** What threads wait for each other does not get shorter with the work. */
function shareThreads(factors: HostFactors, { threads = 1 }: AdviceNeed): HostFactors {
  if (threads < 2) return factors
  const waiting = Math.min(0.5, waitingShare * Math.log2(threads))
  const soften = (factor: number) => 1 / ((1 - waiting) / factor + waiting)
  const { convolution, product, row } = factors
  return {
    ...factors,
    convolution: soften(convolution),
    product: soften(product),
    row: soften(row),
    basis: `${factors.basis} ${threads} threads also wait for each other, which no technique shortens.`,
  }
}

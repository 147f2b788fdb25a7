/** What of a worker's host decides which kernels the runtime picks. */
export interface AdviceHost {
  readonly device: string
  readonly isa: readonly string[]
  readonly cores: number
}

/** How many times as fast the kinds of work are in a form, by rule of thumb. */
export interface HostFactors {
  /** In a sentence: what the factors follow from. */
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
export function hostFactors(host: AdviceHost | undefined): HostFactors {
  if (host === undefined) return { ...emulated, basis: 'No live worker tells its CPU, so careful figures are used.' }
  if (host.device !== 'cpu') return { ...gpu, basis: `A ${host.device} device computes in float16 natively.` }
  const found = dotProducts.find((feature) => host.isa.includes(feature))
  if (found !== undefined) return { ...accelerated, basis: `The CPU multiplies 8-bit integers natively (${found}).` }
  return { ...emulated, basis: 'The CPU has no 8-bit dot product, so int8 gains about half of what it could.' }
}

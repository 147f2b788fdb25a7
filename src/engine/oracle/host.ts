import { createHash } from 'node:crypto'

/** What decides how fast a kernel is, besides the kernel. */
export interface OracleHost {
  readonly cpu: string
  readonly isa: readonly string[]
  /** Version of ONNX Runtime. */
  readonly ort: string
  readonly threads: number
}

/** A name for everything that times depend on; other hosts' times are another table. */
export function hostKey({ cpu, isa, ort, threads }: OracleHost): string {
  return JSON.stringify([cpu, isa.toSorted(), ort, threads])
}

/** The same, short: names a file or rows of the hosts of one kind. */
export function hostDigest(host: OracleHost): string {
  return createHash('sha256').update(hostKey(host)).digest('hex').slice(0, 32)
}

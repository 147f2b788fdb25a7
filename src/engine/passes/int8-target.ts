import type { Target, Warning } from './pass.ts'

/** CPU features that multiply 8-bit integers into 32-bit sums in one instruction, without saturating between. */
const dotProducts = ['avx512_vnni', 'avx_vnni', 'amx_int8', 'asimddp', 'i8mm']

/** x64 CPUs without them add pairs of products in 16 bits, which saturate for large weights. */
const saturating = ['avx2', 'avx512f']

function isSlow({ device, isa }: Target): boolean {
  return device === 'cpu' && isa.length > 0 && !dotProducts.some((feature) => isa.includes(feature))
}

/** Whether weights should have 7 bits on this host. */
export function reducesRange(target: Target, choice: 'auto' | 'always' | 'never'): boolean {
  if (choice !== 'auto') return choice === 'always'
  return isSlow(target) && saturating.some((feature) => target.isa.includes(feature))
}

/** What to know about int8 on a CPU without 8-bit dot products. Nothing when the features of the host are not known. */
export function int8Warnings(target: Target, reduced: boolean): Warning[] {
  if (!isSlow(target)) return []
  const range = reduced
    ? 'Weights have 7 bits here, so that its sums do not saturate.'
    : 'Its sums may saturate: compare the quality, or set reduceRange.'
  const hint = `This CPU has no 8-bit dot product (${dotProducts.slice(0, 2).join(', ')}): int8 gains less here. ${range}`
  return [{ code: 'int8_not_accelerated', hint }]
}

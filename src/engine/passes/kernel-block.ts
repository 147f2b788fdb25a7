/** Channels that a float kernel computes at a time: the layouts of ONNX Runtime pad to that, 16 with AVX-512, else 8. */
export function kernelBlock(isa: readonly string[]): number {
  return isa.some((extension) => extension.startsWith('avx512')) ? 16 : 8
}

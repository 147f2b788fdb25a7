/**
 * NormalFloat of 4 bits: quantiles of a normal distribution scaled to −1…1, with an exact zero.
 * (Dettmers et al., QLoRA: Efficient Finetuning of Quantized LLMs, 2023, appendix E)
 */
// prettier-ignore
const normalFloat4 = Float32Array.of(
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
)

/** 4-bit floats E2M1 over their largest, 6. (OCP Microscaling Formats specification 1.0, 2023, table 5) */
const float4 = symmetric([0.5, 1, 1.5, 2, 3, 4, 6].map((value) => value / 6))

/** Ascending tables for weights that were divided by their largest size. */
export const fixedTables = {
  nf4: () => normalFloat4,
  fp4: () => float4,
  /**
   * 0 and ±2⁰, ±2⁻¹, … (Miyashita et al., Convolutional Neural Networks using Logarithmic Data Representation, 2016);
   * the scale is a power of two as well, so that every weight is one.
   */
  log2: (bits: number) =>
    symmetric(Array.from({ length: 2 ** (bits - 1) - 1 }, (_, index) => 2 ** -index).toReversed()),
} as const

function symmetric(positive: readonly number[]): Float32Array<ArrayBuffer> {
  return Float32Array.of(...positive.toReversed().map((value) => -value), 0, ...positive)
}

/** A convolution of one image batch: NCHW. */
export interface ConvKernel {
  readonly op: 'Conv'
  /** 1 for a convolution along one axis, the width: the height is 1 in what follows, and not there in the model. */
  readonly axes?: 1
  /** Batch, channels, height, width of the input. */
  readonly input: readonly [number, number, number, number]
  /** Output channels, input channels of a group, kernel height and width. */
  readonly weight: readonly [number, number, number, number]
  readonly strides: readonly number[]
  readonly pads: readonly number[]
  readonly dilations: readonly number[]
  readonly group: number
}

/** A product of `rows` × `inner` activations with an `inner` × `columns` constant weight: MatMul or Gemm. */
export interface MatrixKernel {
  readonly op: 'MatMul'
  readonly rows: number
  readonly inner: number
  readonly columns: number
}

/** A conversion between float and 8-bit integers, at the edge of what is quantized. */
export interface BoundaryKernel {
  readonly op: 'Boundary'
  readonly elements: number
}

/** Work that one node does, without its weights: what its time on a host depends on. */
export type Kernel = ConvKernel | MatrixKernel

/** Everything that the oracle times. */
export type Timed = Kernel | BoundaryKernel

/**
 * How a kernel can be computed. `qdq-u8s8`: static int8, unsigned activations and signed weights; `qdq-u8u8` and
 * `qdq-s8s8` accordingly. `dynamic`: int8 with
 * ranges measured at run time (ConvInteger, MatMulInteger). `nbits-…`: float activations, packed weights in blocks of
 * 32; `-a4` lets the runtime compute in int8 (accuracy_level 4), `-a0` leaves the level unset.
 */
export const kernelForms = {
  Conv: ['fp32', 'qdq-u8s8', 'qdq-u8u8', 'qdq-s8s8', 'dynamic'],
  MatMul: ['fp32', 'qdq-u8s8', 'qdq-u8u8', 'qdq-s8s8', 'dynamic', 'nbits4-a4', 'nbits8-a4', 'nbits4-a0', 'nbits8-a0'],
  Boundary: ['quantize', 'dequantize'],
} as const

export type KernelForm = (typeof kernelForms)[Timed['op']][number]

/** Names a kernel; equal keys take equal time. */
export function keyOf(kernel: Timed): string {
  if (kernel.op === 'Boundary') return `Boundary ${kernel.elements}`
  if (kernel.op === 'MatMul') return `MatMul ${kernel.rows}x${kernel.inner}x${kernel.columns}`
  const { axes, input, weight, strides, pads, dilations, group } = kernel
  const parts = [input, weight, strides, pads, dilations].map((part) => part.join(','))
  return `Conv${axes ?? ''} ${parts.join(' ')} g${group}`
}

/** Multiply-accumulates of one run. */
export function kernelMacs(kernel: Timed): number {
  if (kernel.op === 'Boundary') return kernel.elements
  if (kernel.op === 'MatMul') return kernel.rows * kernel.inner * kernel.columns
  const [height, width] = outputSize(kernel)
  const [out, perGroup, kernelHeight, kernelWidth] = kernel.weight
  return kernel.input[0] * out * height * width * perGroup * kernelHeight * kernelWidth
}

export function weightElements(kernel: Timed): number {
  if (kernel.op === 'Boundary') return 1
  if (kernel.op === 'MatMul') return kernel.inner * kernel.columns
  return kernel.weight.reduce((product, dim) => product * dim, 1)
}

/** Elements of the activations that a convolution or product reads and makes. */
export function activationElements(kernel: Kernel): { readonly read: number; readonly made: number } {
  if (kernel.op === 'MatMul') return { read: kernel.rows * kernel.inner, made: kernel.rows * kernel.columns }
  const [height, width] = outputSize(kernel)
  const read = kernel.input.reduce((product, dim) => product * dim, 1)
  return { read, made: kernel.input[0] * kernel.weight[0] * height * width }
}

/** Height and width of a convolution's output. */
export function outputSize({ input, weight, strides, pads, dilations }: ConvKernel): readonly [number, number] {
  const slide = (axis: 0 | 1) => {
    const reach = (dilations[axis] ?? 1) * ((weight[axis + 2] ?? 1) - 1) + 1
    const padded = (input[axis + 2] ?? 1) + (pads[axis] ?? 0) + (pads[axis + 2] ?? 0)
    return Math.floor((padded - reach) / (strides[axis] ?? 1)) + 1
  }
  return [slide(0), slide(1)]
}

/** Sizes and attributes of a convolution as its model has them: without a height where there is none. */
export function seenByRuntime(kernel: ConvKernel) {
  const { axes, input, weight, strides, pads, dilations } = kernel
  const without = (values: readonly number[], ...gone: number[]) =>
    axes === undefined ? values : values.filter((_, index) => !gone.includes(index))
  return {
    input: without(input, 2),
    weight: without(weight, 2),
    strides: without(strides, 0),
    pads: without(pads, 0, 2),
    dilations: without(dilations, 0),
    output: without(outputSize(kernel), 0),
  }
}

/** A form must be slower by more than two measurements of one kernel differ. */
const slowerRatio = 1.1

/** Whether a form is certainly slower than float, by its microseconds. */
export function isSlower(form: number, float: number): boolean {
  return form > float * slowerRatio
}

/** A convolution with weights of one channel each: int8 slows it down, so passes leave it alone. */
export function isDepthwise(kernel: Kernel): boolean {
  return kernel.op === 'Conv' && kernel.group > 1 && kernel.weight[1] === 1
}

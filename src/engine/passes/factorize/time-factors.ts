import { outputSize, type ConvKernel, type Kernel } from '../../oracle/kernel.ts'
import type { Factors } from './factors.ts'

/** The kernels of the layers that a layer becomes, in float. */
export function factorKernels(whole: Kernel, { method, ranks, before, core, after }: Factors): Kernel[] {
  const [made = 1, read = made] = ranks
  if (whole.op === 'MatMul')
    return [
      { ...whole, columns: made },
      { ...whole, inner: made },
    ]
  const [batch, channels, height, width] = whole.input
  const [outputs, , high, wide] = whole.weight
  const axes = whole.axes && { axes: whole.axes }
  const last = { ...pointwise(batch, made, outputs, ...outputSize(whole)), ...axes }
  if (core === undefined) return [{ ...whole, weight: [made, channels, high, wide] }, last]
  return [
    ...(before === undefined ? [] : [{ ...pointwise(batch, channels, read, height, width), ...axes }]),
    coreKernel(whole, made, before === undefined ? channels : read, method),
    ...(after === undefined ? [] : [last]),
  ]
}

function coreKernel(whole: ConvKernel, made: number, read: number, method: Factors['method']): ConvKernel {
  const [batch, , height, width] = whole.input
  const [, , high, wide] = whole.weight
  const isDepthwise = method === 'cp'
  return {
    ...whole,
    input: [batch, read, height, width],
    weight: [made, isDepthwise ? 1 : read, high, wide],
    group: isDepthwise ? made : 1,
  }
}

function pointwise(batch: number, from: number, to: number, height: number, width: number): ConvKernel {
  return {
    op: 'Conv',
    input: [batch, from, height, width],
    weight: [to, from, 1, 1],
    strides: [1, 1],
    pads: [0, 0, 0, 0],
    dilations: [1, 1],
    group: 1,
  }
}

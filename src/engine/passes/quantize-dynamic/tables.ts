import { quantizeWeight } from '../../calibrate/quantize-weight.ts'
import { attribute } from '../../ir/attribute.ts'
import type { Value } from '../../ir/graph.ts'
import { tensorOf } from '../../ir/tensor.ts'
import type { TableNode } from '../quantize/table-nodes.ts'
import type { Emit } from './emit.ts'
import type { WeightForm } from './products.ts'

/**
 * Gathers int8 rows and gives them back in float: a quarter of the table. The scale is written once per column even
 * where all are one, since the runtime would quantize the weights of a float reader of a value with a single scale.
 */
export function convertTable(table: TableNode, { perChannel }: WeightForm, { op, shared }: Emit): Value {
  const { node, indices, source, values, rows, depth } = table
  const [data, scale, zeroPoint] = shared(source, 'table', () => {
    const axis = perChannel ? 1 : undefined
    // 8 bits whatever the host: nothing multiplies these integers.
    const quantized = quantizeWeight(values, [rows, depth], { axis, reduceRange: false })
    const scales = perChannel ? quantized.scales : new Float32Array(depth).fill(quantized.scales[0] ?? 1)
    return [quantized.tensor, tensorOf('float32', [depth], scales), tensorOf('int8', [depth], new Int8Array(depth))]
  })
  const gathered = op('Gather', [data, indices], { axis: attribute.int(0) })
  const result = op('DequantizeLinear', [gathered, scale, zeroPoint], { axis: attribute.int(-1) })
  result.type = node.outputs[0]?.type
  return result
}

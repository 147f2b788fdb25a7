import { attribute } from '../ir/attribute.ts'
import { cloneModel } from '../ir/clone.ts'
import { dtypeTable } from '../ir/dtype.ts'
import type { Graph, Value } from '../ir/graph.ts'
import { graphsWithin } from '../ir/model.ts'
import { elementCount, tensorOf, viewOf, type NumericTensor, type Tensor } from '../ir/tensor.ts'
import { removeUnusedInitializers } from '../rewrite/dead.ts'
import { upgradeOpset } from '../rewrite/opset/upgrade.ts'
import { definePass, type Note, type PassOptions, type PassResult } from './pass.ts'
import { liftConstants } from '../rewrite/lift-constants.ts'

/** Weights in bfloat16, cast to float32 where they are read: ONNX Runtime has no bfloat16 arithmetic on CPUs. */
export const bf16Pass = definePass({
  name: 'bf16',
  stage: 'optimize',
  version: 1,
  run(original, options): Promise<PassResult> {
    const unchanged = (notes: readonly Note[]) => Promise.resolve({ model: original, modified: false, notes })
    const model = cloneModel(original)
    liftConstants(model)
    const declined = upgradeOpset(model)
    if (declined !== undefined) return unchanged([{ action: 'skipped', reason: declined }])
    const notes = [...graphsWithin(model.graph)].flatMap((graph) => convertWeights(graph, options))
    if (notes.length === 0) return unchanged(notes)
    removeUnusedInitializers(model)
    const hint =
      'Weights are kept in bfloat16 and computed with in float32: the file is half as large, not faster. ' +
      'Each weight keeps 8 bits of its precision, and the whole range of float32.'
    return Promise.resolve({ model, modified: true, notes, warnings: [{ code: 'bf16_storage_only', hint }] })
  },
})

function convertWeights(graph: Graph, { minElements, exclude }: PassOptions<'bf16'>): Note[] {
  return [...graph.initializers].flatMap((value): Note[] => {
    const tensor = value.initializer
    if (tensor?.dtype !== 'float32' || value.isGraphInput || value.isGraphOutput || value.uses.size === 0) return []
    if (elementCount(tensor.dims) < minElements || exclude.includes(value.name)) return []
    store(graph, value, tensor)
    return [{ node: value.name, action: 'done', reason: 'stored in bfloat16' }]
  })
}

function store(graph: Graph, value: Value, tensor: Tensor): void {
  const half = graph.addInitializer(graph.freshName(`${value.name}_bf16`), toBfloat16(tensor))
  const name = graph.freshName(`${value.name}/Cast`)
  const attributes = { to: attribute.int(dtypeTable.float32.onnx) }
  const [decoded] = graph.addNode({ opType: 'Cast', name, inputs: [half], attributes }).outputs
  if (decoded !== undefined) graph.replaceAllUses(value, decoded)
}

const infinity = 0x7f_80

/** The upper half of each float32, rounded to nearest even. What would round to infinity becomes the largest. */
export function toBfloat16(tensor: Tensor): NumericTensor {
  const values = viewOf(tensor, 'float32')
  const bits = new Uint32Array(Float32Array.from(values).buffer)
  const half = Uint16Array.from(bits, (each) => {
    const exponent = (each >>> 16) & infinity
    if (exponent === infinity) return (each >>> 16) | ((each & 0xff_ff) === 0 ? 0 : 1)
    const rounded = (each + 0x7f_ff + ((each >>> 16) & 1)) >>> 16
    return (rounded & infinity) === infinity ? rounded - 1 : rounded
  })
  return tensorOf('bfloat16', tensor.dims, half)
}

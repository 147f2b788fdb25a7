import type { Graph, Node } from '../ir/graph.ts'
import { cloneModel } from '../ir/clone.ts'
import { graphsWithin, importOpset, type Model } from '../ir/model.ts'
import { elementCount } from '../ir/tensor.ts'
import { removeDeadNodes, removeUnusedInitializers } from '../rewrite/dead.ts'
import { int8Warnings, reducesRange } from './int8-target.ts'
import { upgradeOpset } from '../rewrite/opset/upgrade.ts'
import { definePass, type Note, type PassOptions } from './pass.ts'
import { createEmitter, type Emit } from './quantize-dynamic/emit.ts'
import { convertProduct, readProduct } from './quantize-dynamic/products.ts'
import { convertLstm, readLstm, recurrentElements } from './quantize-dynamic/recurrent.ts'
import { convertTable } from './quantize-dynamic/tables.ts'
import { isExcluded } from './quantize/linear-nodes.ts'
import { readsTable, readTable } from './quantize/table-nodes.ts'
import { liftConstants } from '../rewrite/lift-constants.ts'

type Options = Omit<PassOptions<'quantize.dynamic'>, 'reduceRange'> & { readonly reduceRange: boolean }

/** int8 weights quantized now, activations at run time, so no calibration is needed. */
export const quantizeDynamicPass = definePass({
  name: 'quantize.dynamic',
  stage: 'optimize',
  version: 3,
  async run(original, options, { target, signal }) {
    signal.throwIfAborted()
    const model = cloneModel(original)
    liftConstants(model)
    const declined = upgradeOpset(model)
    if (declined !== undefined)
      return { model: original, modified: false, notes: [{ action: 'skipped', reason: declined }] }
    const reduceRange = reducesRange(target, options.reduceRange)
    const notes = quantizeNodes(model, { ...options, reduceRange })
    const done = notes.filter((note) => note.action === 'done')
    if (done.length === 0) return { model: original, modified: false, notes }
    if (done.some(({ op }) => op === 'LSTM')) importOpset(model, 'com.microsoft', 1)
    removeDeadNodes(model.graph)
    removeUnusedInitializers(model)
    return { model, modified: true, notes, warnings: int8Warnings(target, reduceRange) }
  },
})

function quantizeNodes(model: Model, options: Options): Note[] {
  const emitter = createEmitter(model.graph)
  return [...graphsWithin(model.graph)].flatMap((graph) => {
    const nodes = [...graph.nodes].filter((node) => isWanted(node, options))
    return nodes.map((node) => quantizeNode(graph, node, options, emitter(graph, node)))
  })
}

function isWanted(node: Node, { ops }: Options): boolean {
  if (node.domain !== '' || !(ops as readonly string[]).includes(node.opType)) return false
  return node.opType !== 'Gather' || readsTable(node)
}

function quantizeNode(graph: Graph, node: Node, options: Options, emit: Emit): Note {
  const { name, opType } = node
  const conversion = isExcluded(node, options.exclude) ? 'excluded by the options' : planners[opType]?.(node)
  const reason = conversion === undefined ? 'it has no int8 kernel' : refuse(conversion, options)
  if (typeof conversion !== 'object' || reason !== undefined) {
    return { node: name, op: opType, action: 'skipped', reason: reason ?? 'it has no int8 kernel' }
  }
  conversion.convert(graph, options, emit)
  return { node: name, op: opType, action: 'done', reason: conversion.result }
}

function refuse(conversion: Conversion | string, { minElements }: Options): string | undefined {
  if (typeof conversion === 'string') return conversion
  const { elements } = conversion
  return elements < minElements ? `its weight has ${elements} elements, fewer than ${minElements}` : undefined
}

/** How a node becomes int8. */
interface Conversion {
  /** Of its weights. */
  readonly elements: number
  /** What to say when it is done. */
  readonly result: string
  readonly convert: (graph: Graph, options: Options, emit: Emit) => void
}

const atRunTime = 'runs in int8, the range of its input measured at run time'

/** How each operator type is read, or why a node can't be int8. */
const planners: Readonly<Record<string, (node: Node) => Conversion | string>> = {
  MatMul: planProduct,
  Gemm: planProduct,
  LSTM: (node) => {
    const weights = readLstm(node)
    if (typeof weights === 'string') return weights
    const convert: Conversion['convert'] = (graph, { perGate, reduceRange }, emit) =>
      convertLstm(graph, node, weights, { perChannel: perGate, reduceRange }, emit)
    return { elements: recurrentElements(weights), result: atRunTime, convert }
  },
  GRU: () => 'ONNX Runtime has no int8 GRU',
  Gather: (node) => {
    const table = readTable(node)
    if (typeof table === 'string') return table
    const convert: Conversion['convert'] = (graph, options, emit) => {
      replace(graph, node, convertTable(table, options, emit))
    }
    return { elements: elementCount(table.source.dims), result: 'its table is int8, rows become float again', convert }
  },
}

function planProduct(node: Node): Conversion | string {
  const product = readProduct(node)
  if (typeof product === 'string') return product
  const { dtype } = product.input.type ?? {}
  if (dtype !== undefined && dtype !== 'float32') return `its input is ${dtype}`
  const convert: Conversion['convert'] = (graph, options, emit) => {
    replace(graph, node, convertProduct(node, product, options, emit))
  }
  return { elements: elementCount(product.source.dims), result: atRunTime, convert }
}

function replace(graph: Graph, node: Node, result: ReturnType<typeof convertProduct>): void {
  const [output] = node.outputs
  if (output === undefined) return
  graph.replaceAllUses(output, result)
  graph.removeNode(node)
}

import type { Attribute } from './attribute.ts'
import type { Graph, Node, Value } from './graph.ts'
import type { Model } from './model.ts'
import { topologicalOrder } from './order.ts'
import { isViewable, viewOf, type Tensor } from './tensor.ts'
import type { ValueType } from './value-type.ts'

/**
 * A stable text form of a model, for reading and for snapshots: nodes in topological order, small constants with
 * their elements, large ones as dtype and dims.
 *
 *     model ir 8, ai.onnx 17
 *     graph main(x: float32[N, 4]) -> (y: float32[N, 2]) {
 *       w = float32[2, 4]
 *       y = Gemm(x, w) {transB: 1}
 *     }
 */
export function printModel(model: Model): string {
  const opsets = [...model.opsetImports].map(([domain, version]) => `${domain === '' ? 'ai.onnx' : domain} ${version}`)
  const functions = model.functions.map((each) => `function ${each.domain}:${printGraph(each.graph)}`)
  return [`model ir ${[model.irVersion, ...opsets].join(', ')}`, `graph ${printGraph(model.graph)}`, ...functions].join(
    '\n',
  )
}

/** As `printModel`, of one graph. */
export function printGraph(graph: Graph): string {
  const { order, cycle } = topologicalOrder(graph)
  const lines = [
    ...[...graph.initializers].map(printInitializer),
    // A graph with a cycle has no order but its own.
    ...(cycle.length === 0 ? order : [...graph.nodes]).map(printNode),
  ]
  const head = `${printName(graph.name)}(${graph.inputs.map(printTyped).join(', ')})`
  const body = lines.map((line) => indent(line)).join('\n')
  return `${head} -> (${graph.outputs.map(printTyped).join(', ')}) {\n${body}${body === '' ? '' : '\n'}}`
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, '  ')
}

function printInitializer(value: Value): string {
  return `${printName(value.name)} = ${value.initializer === undefined ? 'sparse' : printTensor(value.initializer)}`
}

function printNode(node: Node): string {
  const op = node.domain === '' ? node.opType : `${node.domain}:${node.opType}`
  const inputs = node.inputs.map((input) => (input === undefined ? '_' : printName(input.name)))
  const outputs = node.outputs.map((output) => (output.name === '' ? '_' : printName(output.name)))
  const attributes = [...node.attributes].map(([name, value]) => `${name}: ${printAttribute(value)}`)
  const tail = attributes.length === 0 ? '' : ` {${attributes.join(', ')}}`
  return `${outputs.join(', ')} = ${op}(${inputs.join(', ')})${tail}`
}

function printAttribute(value: Attribute): string {
  switch (value.kind) {
    case 'int':
    case 'float':
      return printNumber(value.value)
    case 'string':
      return printBytes(value.value)
    case 'ints':
    case 'floats':
      return `[${Array.from(value.value, printNumber).join(', ')}]`
    case 'strings':
      return `[${value.value.map(printBytes).join(', ')}]`
    case 'tensor':
      return printTensor(value.value)
    case 'tensors':
      return `[${value.value.map(printTensor).join(', ')}]`
    case 'graph':
      return printGraph(value.value)
    case 'graphs':
      return `[${value.value.map(printGraph).join(', ')}]`
    case 'reference':
      return `@${value.name}`
    case 'other':
      return '?'
  }
}

/** The shortest decimal that reads back as the same float32; as it is when it was never one. */
function printNumber(value: number | bigint): string {
  if (typeof value === 'bigint') return String(value)
  const short = [6, 7, 8, 9].map((digits) => Number(value.toPrecision(digits)))
  return String(short.find((candidate) => Math.fround(candidate) === value) ?? value)
}

function printBytes(bytes: Uint8Array): string {
  return JSON.stringify(Buffer.from(bytes).toString('utf8'))
}

const maxShown = 8

function printTensor(tensor: Tensor): string {
  const type = printType(tensor)
  if (tensor.dtype === 'string') {
    return tensor.strings.length > maxShown ? type : `${type} [${tensor.strings.map(printBytes).join(', ')}]`
  }
  if (!isViewable(tensor.dtype) || tensor.bytes.byteLength > maxShown * 8) return type
  const elements = Array.from<number | bigint>(viewOf(tensor))
  return elements.length > maxShown ? type : `${type} [${elements.map(printNumber).join(', ')}]`
}

function printType({ dtype, dims }: ValueType): string {
  return dims === null ? `${dtype}[...]` : `${dtype}[${dims.map((dim) => dim ?? '?').join(', ')}]`
}

function printTyped(value: Value): string {
  return value.type === undefined ? printName(value.name) : `${printName(value.name)}: ${printType(value.type)}`
}

function printName(name: string): string {
  return /^[\w./:-]+$/.test(name) ? name : JSON.stringify(name)
}

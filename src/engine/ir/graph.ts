import { HastenError } from '../../errors.ts'
import { graphsOf, subgraphsOf, type Attribute } from './attribute.ts'
import { assertUnused } from './guards.ts'
import { LinkedSet } from './linked-set.ts'
import type { NodeInit } from './node-init.ts'
import type { Tensor } from './tensor.ts'
import type { ValueType } from './value-type.ts'

/** One input slot of one node that reads a value. */
export interface Use {
  readonly node: Node
  readonly index: number
}

// The chains between values, nodes and graphs are private to their classes; these functions, set inside the
// class bodies, are the only way to change them and stay in this file.
let attachInitializer: (value: Value, tensor: Tensor | undefined) => void
let setProducer: (value: Value, node: Node) => void
let setName: (value: Value, name: string) => void
let markInput: (value: Value, isInput: boolean) => void
let countOutput: (value: Value, change: 1 | -1) => void
let usesOf: (value: Value) => Set<Use>
let setOwner: (node: Node, graph: Graph | undefined) => void
let setParent: (graph: Graph, node: Node | undefined) => void

/** A tensor that flows through a graph: an input, an initializer, or an output of a node. */
export class Value {
  /** What the codec must write back and the IR does not model. */
  opaque: unknown
  readonly #uses = new Set<Use>()
  #name: string
  #type: ValueType | undefined
  #producer: Node | undefined
  #initializer: Tensor | undefined
  #outputSlots = 0
  #isGraphInput = false

  static {
    attachInitializer = (value, tensor) => (value.#initializer = tensor)
    setProducer = (value, node) => (value.#producer = node)
    setName = (value, name) => (value.#name = name)
    markInput = (value, isInput) => (value.#isGraphInput = isInput)
    countOutput = (value, change) => (value.#outputSlots += change)
    usesOf = (value) => value.#uses
  }

  constructor(name: string, type?: ValueType) {
    this.#name = name
    this.#type = type
  }

  /** Unique in its graph; empty for an optional output that the node does not give. */
  get name(): string {
    return this.#name
  }

  /** The declared type; an initializer's is that of its tensor. */
  get type(): ValueType | undefined {
    return this.#initializer ?? this.#type
  }

  set type(type: ValueType | undefined) {
    this.#type = type
  }

  /** The node this is an output of; undefined for inputs and initializers. */
  get producer(): Node | undefined {
    return this.#producer
  }

  /** The input slots that read this value, in subgraphs too. */
  get uses(): ReadonlySet<Use> {
    return this.#uses
  }

  get initializer(): Tensor | undefined {
    return this.#initializer
  }

  /** Whether callers give this value; an initializer that is an input too is only its default. */
  get isGraphInput(): boolean {
    return this.#isGraphInput
  }

  /** Whether a graph (its own, or a subgraph) gives this value as an output. */
  get isGraphOutput(): boolean {
    return this.#outputSlots > 0
  }
}

/** One operator. Edges change only by `setInput`, so the use-def chains can't disagree with the inputs. */
export class Node {
  readonly opType: string
  readonly domain: string
  readonly overload: string
  readonly outputs: readonly Value[]
  name: string
  opaque: unknown
  readonly #inputs: (Value | undefined)[] = []
  readonly #inputUses: (Use | undefined)[] = []
  readonly #attributes = new Map<string, Attribute>()
  #graph: Graph | undefined

  static {
    setOwner = (node, graph) => (node.#graph = graph)
  }

  constructor(init: NodeInit, name: string, outputNames: readonly string[]) {
    this.opType = init.opType
    this.domain = init.domain === 'ai.onnx' ? '' : (init.domain ?? '')
    this.overload = init.overload ?? ''
    this.name = name
    this.opaque = init.opaque
    this.outputs = outputNames.map((output) => new Value(output))
    for (const output of this.outputs) setProducer(output, this)
    init.inputs.forEach((input, index) => this.setInput(index, input))
    for (const [key, value] of Object.entries(init.attributes ?? {})) this.setAttribute(key, value)
  }

  /** The graph this node is in; undefined once removed. */
  get graph(): Graph | undefined {
    return this.#graph
  }

  /** Read values by position; undefined is an optional input left out. No trailing undefined. */
  get inputs(): readonly (Value | undefined)[] {
    return this.#inputs
  }

  get attributes(): ReadonlyMap<string, Attribute> {
    return this.#attributes
  }

  /** The only mutator of edges. An index past the end grows the inputs. */
  setInput(index: number, value: Value | undefined): void {
    const old = this.#inputs[index]
    const oldUse = this.#inputUses[index]
    if (old !== undefined && oldUse !== undefined) usesOf(old).delete(oldUse)
    while (this.#inputs.length <= index) {
      this.#inputs.push(undefined)
      this.#inputUses.push(undefined)
    }
    this.#inputs[index] = value
    this.#inputUses[index] = value === undefined ? undefined : { node: this, index }
    if (value !== undefined) usesOf(value).add(this.#inputUses[index] as Use)
    while (this.#inputs.length > 0 && this.#inputs.at(-1) === undefined) {
      this.#inputs.pop()
      this.#inputUses.pop()
    }
  }

  /** Sets or replaces an attribute; subgraphs it holds become children of this node's graph. */
  setAttribute(name: string, value: Attribute): void {
    this.removeAttribute(name)
    this.#attributes.set(name, value)
    for (const graph of graphsOf(value)) {
      setParent(graph, this)
      if (this.#graph !== undefined) this.#graph.adoptNames(graph)
    }
  }

  /** Removes an attribute; a subgraph it held lets go of the outer values it read. */
  removeAttribute(name: string): void {
    const value = this.#attributes.get(name)
    if (value === undefined) return
    this.#attributes.delete(name)
    for (const graph of graphsOf(value)) if (graph.parent === this) graph.dissolve()
  }
}

/** Nodes in list order, and the values they connect. Order is free while editing; saving sorts topologically. */
export class Graph {
  name: string
  opaque: unknown
  readonly #nodes = new LinkedSet<Node>()
  readonly #inputs: Value[] = []
  readonly #outputs: Value[] = []
  readonly #initializers = new Set<Value>()
  readonly #sparseInitializers: Value[] = []
  readonly #names = new Set<string>()
  #parent: Node | undefined

  static {
    setParent = (graph, node) => (graph.#parent = node)
  }

  constructor(name: string) {
    this.name = name
  }

  /** Iterates in list order; may be changed while iterating (see LinkedSet). */
  get nodes(): Iterable<Node> & { readonly size: number; has(node: Node): boolean } {
    return this.#nodes
  }

  get inputs(): readonly Value[] {
    return this.#inputs
  }

  get outputs(): readonly Value[] {
    return this.#outputs
  }

  /** Values that hold a constant; one may also be an input (its default). */
  get initializers(): ReadonlySet<Value> {
    return this.#initializers
  }

  /** Constants in a sparse form, which only the codec can read. */
  get sparseInitializers(): readonly Value[] {
    return this.#sparseInitializers
  }

  /** The node whose attribute holds this graph; undefined for a model's or a function's graph. */
  get parent(): Node | undefined {
    return this.#parent
  }

  addInput(name: string, type?: ValueType): Value {
    const value = new Value(name, type)
    this.#take(name)
    this.#inputs.push(value)
    markInput(value, true)
    return value
  }

  removeInput(value: Value): void {
    if (!this.#initializers.has(value)) assertUnused(value, `input '${value.name}'`)
    if (removeFrom(this.#inputs, value)) markInput(value, false)
  }

  addOutput(value: Value): void {
    this.#outputs.push(value)
    countOutput(value, 1)
  }

  /** Lets another value be output `index`. The interface name of the output becomes that value's name. */
  setOutput(index: number, value: Value): void {
    const old = this.#outputs[index]
    if (old === undefined) throw new HastenError('internal', `graph '${this.name}' has no output ${index}`)
    this.#outputs[index] = value
    countOutput(old, -1)
    countOutput(value, 1)
  }

  removeOutput(value: Value): void {
    if (removeFrom(this.#outputs, value)) countOutput(value, -1)
  }

  /** Adds a constant. An input of that name gets it as its default. */
  addInitializer(name: string, tensor: Tensor): Value {
    const value = this.#inputs.find((input) => input.name === name) ?? new Value(name)
    this.#take(name)
    this.setInitializer(value, tensor)
    return value
  }

  /** Replaces the tensor of an initializer, or makes one of an input. */
  setInitializer(value: Value, tensor: Tensor): void {
    attachInitializer(value, tensor)
    this.#initializers.add(value)
  }

  addSparseInitializer(name: string): Value {
    const value = new Value(name)
    this.#take(name)
    this.#sparseInitializers.push(value)
    return value
  }

  /** @throws HastenError `internal` when the value is still read, or is a graph output. */
  removeInitializer(value: Value): void {
    if (!this.#inputs.includes(value)) assertUnused(value, `initializer '${value.name}'`)
    this.#initializers.delete(value)
    attachInitializer(value, undefined)
  }

  /** Appends a node. */
  addNode(init: NodeInit): Node {
    return this.#place(init, undefined)
  }

  /** Adds a node in front of another of this graph. */
  insertBefore(anchor: Node, init: NodeInit): Node {
    if (!this.#nodes.has(anchor)) throw new HastenError('internal', `node '${anchor.name}' is not in this graph`)
    return this.#place(init, anchor)
  }

  /** @throws HastenError `internal` when an output is still read, or is a graph output. */
  removeNode(node: Node): void {
    if (!this.#nodes.has(node)) throw new HastenError('internal', `node '${node.name}' is not in this graph`)
    for (const output of node.outputs) assertUnused(output, `output '${output.name}' of node '${node.name}'`)
    this.#detach(node)
  }

  /**
   * Lets every reader of `old` read `replacement`, graph outputs included. An output keeps its interface name: the
   * replacement takes it, or an Identity does where the replacement's own name must stay.
   */
  replaceAllUses(old: Value, replacement: Value): void {
    if (old === replacement) return
    const uses = [...old.uses]
    if (this.#outputs.includes(old)) this.#replaceOutput(old, replacement)
    for (const { node, index } of uses) node.setInput(index, replacement)
  }

  /** Renames a value; the caller makes sure that the name is free. */
  renameValue(value: Value, name: string): void {
    this.#take(name)
    setName(value, name)
  }

  /** A name that no value or node of this graph, or of the graphs around and inside it, has had. */
  freshName(hint: string): string {
    const taken = this.#root().#names
    let name = hint
    for (let suffix = 1; taken.has(name); suffix++) name = `${hint}_${suffix}`
    taken.add(name)
    return name
  }

  /** Makes the names of a subgraph known to the outermost graph. */
  adoptNames(subgraph: Graph): void {
    const taken = this.#root().#names
    for (const name of subgraph.#names) taken.add(name)
  }

  /** Takes the graph apart, so that its nodes no longer count as readers of outer values. */
  dissolve(): void {
    for (const value of this.#outputs.splice(0)) countOutput(value, -1)
    for (const node of this.#nodes) this.#detach(node)
    this.#parent = undefined
  }

  #place(init: NodeInit, anchor: Node | undefined): Node {
    const name = init.name ?? this.freshName(init.opType)
    const outputs = typeof init.outputs === 'object' ? init.outputs : this.#outputNames(name, init.outputs ?? 1)
    const node = new Node(init, name, outputs)
    this.#nodes.insert(node, anchor)
    setOwner(node, this)
    for (const used of [name, ...outputs]) this.#take(used)
    for (const subgraph of subgraphsOf(node)) this.adoptNames(subgraph)
    return node
  }

  #outputNames(node: string, count: number): string[] {
    return Array.from({ length: count }, () => this.freshName(`${node}_out`))
  }

  #detach(node: Node): void {
    for (let index = node.inputs.length - 1; index >= 0; index--) node.setInput(index, undefined)
    // A subgraph that another node has taken over since stays whole.
    for (const subgraph of subgraphsOf(node)) if (subgraph.parent === node) subgraph.dissolve()
    this.#nodes.remove(node)
    setOwner(node, undefined)
  }

  #replaceOutput(old: Value, replacement: Value): void {
    const name = old.name
    this.renameValue(old, this.freshName(`${name}_old`))
    const output = this.#canTakeName(replacement) ? replacement : this.#identityOf(replacement)
    output.type ??= old.type
    this.renameValue(output, name)
    for (let index = this.#outputs.indexOf(old); index >= 0; index = this.#outputs.indexOf(old)) {
      this.setOutput(index, output)
    }
  }

  #canTakeName(value: Value): boolean {
    return value.producer?.graph === this && !value.isGraphOutput
  }

  #identityOf(value: Value): Value {
    return this.addNode({ opType: 'Identity', inputs: [value] }).outputs[0] as Value
  }

  #take(name: string): void {
    this.#names.add(name)
    this.#root().#names.add(name)
  }

  #root(): Graph {
    const outer = this.#parent?.graph
    return outer === undefined ? this : outer.#root()
  }
}

function removeFrom(list: Value[], value: Value): boolean {
  const index = list.indexOf(value)
  if (index >= 0) list.splice(index, 1)
  return index >= 0
}

import { HastenError } from '../../../errors.ts'
import { differentiate } from '../../autodiff/index.ts'
import { batchesOf, bindDataset, type Dataset } from '../../data/index.ts'
import { attribute } from '../../ir/attribute.ts'
import { cloneModel } from '../../ir/clone.ts'
import type { Graph, Value } from '../../ir/graph.ts'
import type { Model } from '../../ir/model.ts'
import { tensorOf, viewOf, type Tensor } from '../../ir/tensor.ts'
import { inferTypes } from '../../ops/index.ts'
import { numbersOf } from '../../rewrite/constants.ts'
import { upgradeOpset } from '../../rewrite/opset/upgrade.ts'
import { writeOutKernels } from '../../training/write-out.ts'
import type { Session } from '../../runtime/port.ts'
import type { PassContext } from '../pass.ts'
import { plainSession, withSession } from '../run-model.ts'

/** Over batches: Σ g and Σ g² of each element of a weight. */
export interface GradientSums {
  readonly sum: Float64Array
  readonly squares: Float64Array
}

/** The first opset that gradients are written in. */
const gradientOpset = 17
const batch = 8
const targetName = 'hasten.target'

/**
 * Gradients of a loss with respect to weights, over calibration samples: cross-entropy of the first output where there are
 * labels and it is [batch, classes], else half the square of all float outputs.
 * @throws HastenError `not_differentiable`, `dataset_mismatch`, `run_failed`, `run_canceled`
 */
export async function sumGradients(
  original: Model,
  weights: readonly string[],
  calibration: Dataset,
  samples: number,
  context: PassContext,
): Promise<ReadonlyMap<string, GradientSums>> {
  const model = cloneModel(original)
  const declined = upgradeOpset(model, gradientOpset)
  if (declined !== undefined) throw new HastenError('not_differentiable', declined)
  writeOutKernels(model)
  const hasLabels = (await calibration.labels(0, 1)) !== undefined
  const classes = hasLabels ? classesOf(model) : undefined
  const { graph } = model
  const loss = classes === undefined ? squaredOutputs(model) : crossEntropy(graph, classes)
  for (const output of graph.outputs.toReversed()) graph.removeOutput(output)
  const names = differentiate(model, { loss: loss.name, wanted: weights })
  exposeGradients(graph, names)
  const sums = new Map<string, GradientSums>()
  await withSession(context, model, plainSession, async (session) => {
    const inputs = session.inputs.filter(({ name }) => name !== targetName)
    const { dataset } = bindDataset(calibration, inputs)
    for (const { start, count } of batchesOf(dataset, batch, samples)) {
      const feeds = await dataset.read(start, count)
      const target = classes === undefined ? {} : { [targetName]: await oneHot(dataset, start, count, classes) }
      const results = await runFor(session, { ...feeds, ...target }, names, context)
      for (const [weight, tensor] of results) addGradient(sums, weight, viewOf(tensor, 'float32'))
    }
  })
  return sums
}

function exposeGradients(graph: Graph, names: ReadonlyMap<string, string>): void {
  const wanted = new Set(names.values())
  for (const node of graph.nodes)
    for (const output of node.outputs) if (wanted.has(output.name) && !output.isGraphOutput) graph.addOutput(output)
}

async function runFor(
  session: Session,
  feeds: Readonly<Record<string, Tensor>>,
  names: ReadonlyMap<string, string>,
  { signal }: PassContext,
): Promise<[string, Tensor][]> {
  const results = await session.run(feeds, { signal })
  return [...names].flatMap(([weight, gradient]): [string, Tensor][] => {
    const tensor = results[gradient]
    return tensor === undefined ? [] : [[weight, tensor]]
  })
}

function addGradient(sums: Map<string, GradientSums>, weight: string, gradient: Float32Array): void {
  const { sum, squares } = sums.get(weight) ?? {
    sum: new Float64Array(gradient.length),
    squares: new Float64Array(gradient.length),
  }
  for (const [index, value] of gradient.entries()) {
    sum[index] = (sum[index] as number) + value
    squares[index] = (squares[index] as number) + value * value
  }
  sums.set(weight, { sum, squares })
}

/** Classes of a first output [batch, classes]. */
function classesOf(model: Model): number | undefined {
  const type = inferTypes(model).of(model.graph.outputs[0])
  const classes = type?.dims?.[1]
  return type?.dtype === 'float32' && type.dims?.length === 2 && typeof classes === 'number' ? classes : undefined
}

/** −Σ target · log softmax(logits); a Softmax that the model ends in is undone by taking its input. */
function crossEntropy(graph: Graph, classes: number): Value {
  const output = graph.outputs[0] as Value
  const softmax = output.producer?.opType === 'Softmax' ? output.producer.inputs[0] : undefined
  const target = graph.addInput(targetName, { dtype: 'float32', dims: ['samples', classes] })
  const logs = add(graph, 'LogSoftmax', [softmax ?? output], { axis: attribute.int(1) })
  const product = add(graph, 'Mul', [logs, target])
  return add(graph, 'Neg', [add(graph, 'ReduceSum', [product], { keepdims: attribute.int(0) })])
}

/** ½ Σ y² over every float output. */
function squaredOutputs(model: Model): Value {
  const { graph } = model
  const types = inferTypes(model)
  const floats = graph.outputs.filter((output) => types.of(output)?.dtype === 'float32')
  const sums = floats.map((output) =>
    add(graph, 'ReduceSum', [add(graph, 'Mul', [output, output])], { keepdims: attribute.int(0) }),
  )
  const total = sums.reduce((one, other) => add(graph, 'Add', [one, other]))
  const half = graph.addInitializer(graph.freshName('half'), tensorOf('float32', [], Float32Array.of(0.5)))
  return add(graph, 'Mul', [total, half])
}

function add(graph: Graph, opType: string, inputs: Value[], attributes = {}): Value {
  return graph.addNode({ opType, inputs, attributes }).outputs[0] as Value
}

/** Labels as rows of 0 and 1; one that is no class is all 0. */
async function oneHot(dataset: Dataset, start: number, count: number, classes: number): Promise<Tensor> {
  const labels = await dataset.labels(start, count)
  const rows = new Float32Array(count * classes)
  const indices = labels === undefined ? [] : (numbersOf(labels) ?? [])
  for (const [row, label] of indices.slice(0, count).entries())
    if (label >= 0 && label < classes) rows[row * classes + label] = 1
  return tensorOf('float32', [count, classes], rows)
}

import { bindDataset, batchesOf, type Dataset } from '../../data/index.ts'
import { attribute } from '../../ir/attribute.ts'
import type { Value } from '../../ir/graph.ts'
import { createModel, type Model } from '../../ir/model.ts'
import { tensorOf, viewOf, type Tensor } from '../../ir/tensor.ts'
import type { Session } from '../../runtime/port.ts'
import type { PassContext } from '../pass.ts'
import { plainSession, withSession } from '../run-model.ts'
import { rowsOutput } from './layer-rows.ts'

/** Sums over rows x of inputs and y of wanted outputs; matrices row-major. */
export interface NormalEquations {
  readonly rows: number
  readonly inputs: number
  readonly outputs: number
  /** Σ xᵀx, [inputs, inputs]. */
  readonly xx: Float64Array
  /** Σ xᵀy, [inputs, outputs]. */
  readonly xy: Float64Array
  readonly x: Float64Array
  readonly y: Float64Array
  /** Σ y² of each output. */
  readonly yy: Float64Array
}

/** Numbers in the rows of one run: beyond that a layer is not fitted. */
const maxNumbers = 2 ** 26
/** Numbers in a run aimed at, by the number of samples in it. */
const wantedNumbers = 2 ** 23

export interface RowModels {
  /** Gives rows x. */
  readonly inputs: Model
  /** Gives rows y for the same samples. */
  readonly outputs: Model
}

/**
 * Runs calibration samples through two models and sums the products of their rows, which are made inside the runtime: memory
 * is one batch and the sums, however many samples.
 * @returns why the rows can't be summed, in a sentence
 * @throws HastenError `dataset_mismatch`, `run_failed`, `run_canceled`
 */
export async function sumNormalEquations(
  models: RowModels,
  calibration: Dataset,
  samples: number,
  context: PassContext,
): Promise<NormalEquations | string> {
  return withSession(context, models.inputs, plainSession, (inputs) =>
    withSession(context, models.outputs, plainSession, (outputs) =>
      withSession(context, productsModel(), plainSession, async (products) => {
        const { dataset } = bindDataset(calibration, inputs.inputs)
        const sessions = { inputs, outputs, products }
        const first = await rowsOf(sessions, await dataset.read(0, dataset.fixedBatch ?? 1), context)
        const numbers = count(first.x) + count(first.y)
        if (numbers > maxNumbers) return 'one sample has more rows than fit in memory'
        const batch = Math.max(1, Math.min(32, Math.floor(wantedNumbers / Math.max(1, numbers))))
        const sums = emptySums(first.x.dims[1] ?? 0, first.y.dims[1] ?? 0)
        for (const { start, count: size } of batchesOf(dataset, batch, samples)) {
          const rows = await rowsOf(sessions, await dataset.read(start, size), context)
          await addRows(sums, rows, products, context)
        }
        return sums
      }),
    ),
  )
}

interface Rows {
  readonly x: Tensor
  readonly y: Tensor
}

async function rowsOf(
  { inputs, outputs }: { readonly inputs: Session; readonly outputs: Session },
  feeds: Readonly<Record<string, Tensor>>,
  { signal }: PassContext,
): Promise<Rows> {
  const [x, y] = [await inputs.run(feeds, { signal }), await outputs.run(feeds, { signal })]
  return { x: x[rowsOutput] as Tensor, y: y[rowsOutput] as Tensor }
}

function count({ dims }: Tensor): number {
  return dims.reduce((product, dim) => product * dim, 1)
}

type Sums = { -readonly [K in keyof NormalEquations]: NormalEquations[K] }

function emptySums(inputs: number, outputs: number): Sums {
  return {
    rows: 0,
    inputs,
    outputs,
    xx: new Float64Array(inputs * inputs),
    xy: new Float64Array(inputs * outputs),
    x: new Float64Array(inputs),
    y: new Float64Array(outputs),
    yy: new Float64Array(outputs),
  }
}

const sumNames = ['xx', 'xy', 'x', 'y', 'yy'] as const

async function addRows(sums: Sums, rows: Rows, products: Session, { signal }: PassContext): Promise<void> {
  const results = await products.run({ rows_x: rows.x, rows_y: rows.y }, { signal })
  sums.rows += rows.x.dims[0] ?? 0
  for (const name of sumNames) {
    const values = viewOf(results[name] as Tensor, 'float32')
    const sum = sums[name]
    for (let index = 0; index < values.length; index += 1)
      sum[index] = (sum[index] as number) + (values[index] as number)
  }
}

/** XᵀX, XᵀY and the column sums of X, Y and Y². */
function productsModel(): Model {
  const model = createModel()
  const { graph } = model
  const x = graph.addInput('rows_x', { dtype: 'float32', dims: ['rows', 'inputs'] })
  const y = graph.addInput('rows_y', { dtype: 'float32', dims: ['rows', 'outputs'] })
  const axis = graph.addInitializer('axis', tensorOf('int64', [1], BigInt64Array.of(0n)))
  const transA = { transA: attribute.int(1) }
  const keepdims = { keepdims: attribute.int(0) }
  const add = (opType: string, name: string, inputs: Value[], attributes = {}) =>
    graph.addOutput(graph.addNode({ opType, inputs, outputs: [name], attributes }).outputs[0] as Value)
  add('Gemm', 'xx', [x, x], transA)
  add('Gemm', 'xy', [x, y], transA)
  add('ReduceSum', 'x', [x, axis], keepdims)
  add('ReduceSum', 'y', [y, axis], keepdims)
  add('ReduceSumSquare', 'yy', [y], { ...keepdims, axes: attribute.ints([0]) })
  return model
}

import type { InferenceSession } from 'onnxruntime-node'
import { HastenError } from '../../../errors.ts'
import { byteLength, dtypeTable, type DType } from '../../ir/dtype.ts'
import { elementCount, type Tensor } from '../../ir/tensor.ts'
import { checkFeeds, splitOutputs } from '../check-feeds.ts'
import { releasedError, trackInFlight } from '../in-flight.ts'
import type { Feeds, Residents, ResidentTensor, RunOptions, Session, TensorInfo } from '../port.ts'
import { turnEventLoop, watchRun } from '../run-stop.ts'
import { translateRunError } from '../translate-error.ts'
import { fromBinding, toBinding } from './tensors.ts'

/**
 * A session over one of the binding's, which it owns from here on; `onRelease` is called once that is freed.
 * @throws HastenError `model_load_failed` when an input or output is not a tensor.
 */
export function wrapSession(native: InferenceSession, providers: readonly string[], onRelease: () => void): Session {
  const inputs = native.inputMetadata.map((value) => readInfo(value, 'input'))
  const outputs = native.outputMetadata.map((value) => readInfo(value, 'output'))
  const uses = trackInFlight(releasedError, async () => {
    await native.release()
    onRelease()
  })
  const run = (feeds: Feeds, options: RunOptions = {}): Promise<Record<string, Tensor>> =>
    uses.use(() => runBinding(native, { inputs, outputs }, feeds, options))
  return {
    inputs,
    outputs,
    providers,
    run,
    runBorrowed: async (feeds, options) => ({ outputs: await run(feeds, options), release: () => undefined }),
    allocate: (dtype, dims) => uses.use(async () => allocate(dtype, dims)),
    release: () => uses.close(),
  }
}

function readInfo(value: InferenceSession.ValueMetadata, direction: string): TensorInfo {
  if (!value.isTensor) {
    const what = `${direction} "${value.name}"`
    throw new HastenError('model_load_failed', `${what} is a sequence, map or optional; only tensors can be served`, {
      hint: 'Export the model with tensors only; for scikit-learn classifiers that is the option zipmap=False.',
    })
  }
  if (!Object.hasOwn(dtypeTable, value.type)) {
    throw new HastenError('model_load_failed', `${direction} "${value.name}" has element type ${value.type}`)
  }
  const { name, type: dtype, shape } = value
  // The binding reports a scalar and an unknown rank alike; the runtime itself then checks the rank.
  if (shape.length === 0) return { name, dtype, dims: [], anyRank: true }
  return { name, dtype, dims: shape.map((dim) => (dim === '' ? null : dim)) }
}

async function runBinding(
  native: InferenceSession,
  { inputs, outputs }: Pick<Session, 'inputs' | 'outputs'>,
  feeds: Feeds,
  options: RunOptions,
): Promise<Record<string, Tensor>> {
  const { resident = {}, into = {} } = options
  const { given, written } = splitOutputs(options, outputs)
  checkFeeds(feeds, inputs, resident)
  const stop = watchRun(options)
  try {
    stop.throwIfEnded()
    const all = Object.entries({ ...feeds, ...mapContents(resident) })
    const tensors = Object.fromEntries(all.map(([name, tensor]) => [name, toBinding(tensor, name)]))
    const namesOf = (infos: readonly TensorInfo[]) => infos.map(({ name }) => name)
    const results = await native.run(tensors, namesOf([...given, ...written]))
    await turnEventLoop()
    stop.throwIfEnded()
    for (const name of namesOf(written)) replaceContent(into[name] as ResidentTensor, readResult(results, name))
    return Object.fromEntries(namesOf(given).map((name) => [name, readResult(results, name)]))
  } catch (error) {
    stop.throwIfEnded()
    throw translateRunError(error)
  } finally {
    stop.dispose()
  }
}

/** The binding's runs give their outputs to JavaScript, so that is where such a tensor is. */
interface Content {
  tensor: Tensor | undefined
}

function allocate(dtype: DType, dims: readonly number[]): ResidentTensor {
  if (dtype === 'string') throw new HastenError('run_failed', 'no memory of a device holds string')
  const bytes = new Uint8Array(byteLength(dtype, elementCount(dims)))
  const content: Content = { tensor: { dtype, dims, bytes } }
  return { dtype, dims, handle: content, release: () => (content.tensor = undefined) }
}

function mapContents(resident: Residents): Feeds {
  return Object.fromEntries(Object.entries(resident).map(([name, each]) => [name, contentOf(each)]))
}

function contentOf({ handle }: ResidentTensor): Tensor {
  const { tensor } = handle as Content
  if (tensor === undefined) throw new HastenError('run_failed', 'a resident tensor was released before the run')
  return tensor
}

function replaceContent(resident: ResidentTensor, tensor: Tensor): void {
  if (contentOf(resident).dims.join() !== tensor.dims.join()) {
    throw new HastenError(
      'run_failed',
      `an output of dims [${tensor.dims.join(', ')}] does not fit its resident tensor`,
    )
  }
  Object.assign(resident.handle as Content, { tensor })
}

function readResult(results: InferenceSession.ReturnType, name: string): Tensor {
  const result = results[name]
  if (result === undefined) throw new HastenError('run_failed', `output "${name}" has no value`)
  return fromBinding(result)
}

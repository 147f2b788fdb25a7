import type { InferenceSession } from 'onnxruntime-node'
import { HastenError } from '../../../errors.ts'
import { dtypeTable } from '../../ir/dtype.ts'
import type { Tensor } from '../../ir/tensor.ts'
import { checkFeeds, selectOutputs } from '../check-feeds.ts'
import { releasedError, trackInFlight } from '../in-flight.ts'
import type { Feeds, RunOptions, Session, TensorInfo } from '../port.ts'
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
  const selected = selectOutputs(options.outputs, outputs)
  checkFeeds(feeds, inputs)
  const stop = watchRun(options)
  try {
    stop.throwIfEnded()
    const tensors = Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, toBinding(tensor, name)]))
    const names = selected.map(({ name }) => name)
    const results = await native.run(tensors, names)
    await turnEventLoop()
    stop.throwIfEnded()
    return Object.fromEntries(names.map((name) => [name, readResult(results, name)]))
  } catch (error) {
    stop.throwIfEnded()
    throw translateRunError(error)
  } finally {
    stop.dispose()
  }
}

function readResult(results: InferenceSession.ReturnType, name: string): Tensor {
  const result = results[name]
  if (result === undefined) throw new HastenError('run_failed', `output "${name}" has no value`)
  return fromBinding(result)
}

import { HastenError } from '../../errors.ts'
import type { Graph, Value } from '../ir/graph.ts'

/** The value a loss reads. */
export interface Head {
  /** The model output that was asked for. */
  readonly output: string
  readonly value: Value
  /** Said when the value lies before the output. */
  readonly note: string | undefined
}

const activations: Readonly<Record<'Softmax' | 'Sigmoid', readonly string[]>> = {
  Softmax: ['Softmax', 'LogSoftmax'],
  Sigmoid: ['Sigmoid'],
}

/**
 * Finds what to train: the named output, or the only one. A loss that reads logits takes the input of a final Softmax
 * or Sigmoid; the model keeps that node.
 * @throws HastenError `recipe_invalid` when the output is not there, or is not the only one
 */
export function findHead(graph: Graph, name: string | undefined, reads: 'Softmax' | 'Sigmoid' | undefined): Head {
  const output = findOutput(graph, name)
  const value = skipIdentity(output)
  const node = value.producer
  const [logits] = node?.inputs ?? []
  if (node === undefined || logits === undefined || reads === undefined || !activations[reads].includes(node.opType)) {
    return { output: output.name, value, note: undefined }
  }
  const note = `the loss reads the logits '${logits.name}' before the ${node.opType} that gives '${output.name}'; the trained model keeps it`
  return { output: output.name, value: logits, note }
}

function findOutput({ outputs }: Graph, name: string | undefined): Value {
  const found = name === undefined ? outputs.length === 1 && outputs[0] : outputs.find((value) => value.name === name)
  if (found !== undefined && found !== false) return found
  const listed = outputs.map((value) => `'${value.name}'`).join(', ')
  const what = name === undefined ? 'the model has several outputs' : `the model has no output '${name}'`
  throw new HastenError('recipe_invalid', `${what}; it has ${listed}`, {
    hint: 'Name the output to train with `output`.',
  })
}

function skipIdentity(value: Value): Value {
  const [input] = value.producer?.opType === 'Identity' ? value.producer.inputs : []
  return input === undefined ? value : skipIdentity(input)
}

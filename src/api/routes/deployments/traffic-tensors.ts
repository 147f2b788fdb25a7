import { trafficError, type Traffic } from '../../../storage/index.ts'

interface StoredInfo {
  readonly name: string
  readonly dtype: string
  readonly dims: readonly (number | string | null)[]
  readonly dynamic_rank?: boolean
}

/** Inputs and outputs as inspection stored them. */
export interface StoredSignature {
  readonly inputs: readonly StoredInfo[]
  readonly outputs: readonly StoredInfo[]
}

const scoreTypes: ReadonlySet<string> = new Set(['float32', 'float64', 'float16', 'bfloat16'])
/** numpy has none of these, or pads them. */
const unkept: ReadonlySet<string> = new Set(['bfloat16', 'string'])

/**
 * What traffic says of inputs and outputs must fit the model.
 * @throws HastenError `invalid_request` with the pointer
 */
export function checkTensorNames({ cascade, capture }: Traffic, { inputs, outputs }: StoredSignature): void {
  if (cascade !== undefined) {
    const output = outputs.find(({ name }) => name === cascade.output)
    if (output === undefined) throw unknownName('/cascade/output', cascade.output, 'output', outputs)
    if (!scoreTypes.has(output.dtype)) {
      throw trafficError('/cascade/output', `'${output.name}' is ${output.dtype}: scores are floats`)
    }
  }
  if (capture !== undefined) checkCapture(capture, inputs)
}

function checkCapture({ inputs: only, omit }: NonNullable<Traffic['capture']>, inputs: readonly StoredInfo[]): void {
  for (const [list, names] of [['inputs', only ?? []] as const, ['omit', omit ?? []] as const]) {
    const index = names.findIndex((name) => inputs.every((input) => input.name !== name))
    if (index !== -1) throw unknownName(`/capture/${list}/${index}`, names[index] ?? '', 'input', inputs)
  }
  const kept = inputs.filter(({ name }) => (only?.includes(name) ?? true) && omit?.includes(name) !== true)
  if (kept.length === 0) throw trafficError('/capture', 'leaves no input to keep')
  const odd = kept.find(({ dtype }) => unkept.has(dtype))
  if (odd !== undefined)
    throw trafficError('/capture', `input '${odd.name}' is ${odd.dtype}, which a dataset can't hold`)
}

function unknownName(pointer: string, name: string, kind: string, known: readonly StoredInfo[]) {
  const listed = known.map((each) => each.name).join(', ')
  return trafficError(pointer, `the model has no ${kind} '${name}'; it has: ${listed}`)
}

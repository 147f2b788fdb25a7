import type { Node } from '../ir/graph.ts'
import { allNodes, type Model } from '../ir/model.ts'
import type { KernelAdvice, KernelForm, KernelOracle, KernelTimes } from '../oracle/index.ts'
import type { Dataset } from '../data/index.ts'
import type { Note, Target } from '../passes/pass.ts'
import { knownDims } from '../passes/known-dims.ts'
import type { TensorInfo } from '../runtime/port.ts'
import { chooseForm, possibleForms, withTypes } from './choose-types.ts'
import type { RecipeStep } from './schema.ts'

export interface SlowerContext {
  readonly oracle?: KernelOracle | undefined
  readonly target: Target
  readonly calibration?: Dataset | undefined
  readonly sampleInputs?: readonly TensorInfo[] | undefined
  readonly signal: AbortSignal
}

/** A step that leaves alone what the oracle says would be slower, and the reasons by node name. */
export interface AdvisedStep {
  readonly step: RecipeStep
  readonly reasons: ReadonlyMap<string, string>
  /** Microseconds that the step's form saves by node name, where the oracle knows. */
  readonly savings: ReadonlyMap<string, number>
  /** What the oracle was asked, and the form that was settled on. */
  readonly asked?: { readonly advice: KernelAdvice; readonly form: KernelForm }
}

/** Asks the oracle about the nodes that a quantizing step would change, and excludes those it would make slower. */
export async function leaveSlower(model: Model, step: RecipeStep, context: SlowerContext): Promise<AdvisedStep> {
  const { oracle, target, signal } = context
  const forms = possibleForms(step)
  if (forms.length === 0 || oracle === undefined || target.device !== 'cpu') return unadvised(step)
  const dims = knownDims(model, context)
  const [usual = 'fp32'] = forms
  const form =
    forms.length === 1
      ? usual
      : chooseForm(model, await oracle.consult(model, dims, forms, signal, comparedKernels), forms, target)
  const advice = await oracle.consult(model, dims, [form], signal)
  const nodes = [...allNodes(model)]
  const slower = nodes.flatMap((node) => {
    const reason = advice.slower(node, form)
    return reason === undefined ? [] : [{ node, reason }]
  })
  const advised = {
    step: {
      pass: step.pass,
      options: excludeAlso(
        withTypes(step.options, form),
        slower.map(({ node }) => nameOf(node)),
      ),
    },
    reasons: new Map(slower.flatMap(({ node, reason }) => (node.name === '' ? [] : [[node.name, reason]]))),
    savings: new Map(nodes.flatMap((node) => savingOf(node, advice.timesOf(node), form))),
  }
  return { ...advised, asked: { advice, form } }
}

/** Kernels that decide between forms, the costliest of the model; the others would say the same for more time. */
const comparedKernels = 4

/** A step as its author wrote it, but for what only measuring decides. */
function unadvised(step: RecipeStep): AdvisedStep {
  const [form = 'fp32'] = possibleForms(step)
  const options = withTypes(step.options, form)
  return { step: options === step.options ? step : { ...step, options }, reasons: new Map(), savings: new Map() }
}

function savingOf({ name }: Node, times: KernelTimes | undefined, form: KernelForm): [string, number][] {
  const [fp32, other] = [times?.['fp32'], times?.[form]]
  return name === '' || fp32 == null || other == null ? [] : [[name, fp32 - other]]
}

/** A node without a name is known by its result. */
function nameOf(node: Node): string {
  return node.name || (node.outputs[0]?.name ?? '')
}

function excludeAlso(options: RecipeStep['options'], names: readonly string[]): RecipeStep['options'] {
  const excluded = options['exclude']
  return { ...options, exclude: [...(Array.isArray(excluded) ? (excluded as string[]) : []), ...names] }
}

/** The pass knows these nodes as excluded; the reader of its notes should know by whom, and why. */
export function explainSlower(notes: readonly Note[], { reasons }: AdvisedStep): readonly Note[] {
  return notes.map((note) => {
    const reason = note.action === 'skipped' ? reasons.get(note.node ?? '') : undefined
    return reason === undefined ? note : { ...note, reason, cause: 'slower' }
  })
}

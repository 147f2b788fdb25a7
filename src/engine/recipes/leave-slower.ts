import type { Node } from '../ir/graph.ts'
import type { Model } from '../ir/model.ts'
import type { KernelForm, KernelOracle, KernelTimes } from '../oracle/index.ts'
import type { Dataset } from '../data/index.ts'
import type { Note, Target } from '../passes/pass.ts'
import { knownDims } from '../passes/known-dims.ts'
import type { PassName } from '../passes/options/index.ts'
import type { TensorInfo } from '../runtime/port.ts'
import type { RecipeStep } from './schema.ts'

/** The form that a pass gives to the nodes it quantizes; passes that aren't here change no kernel. */
const formOfPass: Partial<Record<PassName, KernelForm>> = {
  'quantize.static': 'qdq-u8s8',
  'quantize.mixed': 'qdq-u8s8',
  auto: 'qdq-u8s8',
  'quantize.dynamic': 'dynamic',
}

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
}

/** Asks the oracle about the nodes that a quantizing step would change, and excludes those it would make slower. */
export async function leaveSlower(model: Model, step: RecipeStep, context: SlowerContext): Promise<AdvisedStep> {
  const { oracle, target, signal } = context
  const form = formOfPass[step.pass]
  if (form === undefined || oracle === undefined || target.device !== 'cpu')
    return { step, reasons: new Map(), savings: new Map() }
  const advice = await oracle.consult(model, knownDims(model, context), [form], signal)
  const slower = [...model.graph.nodes].flatMap((node) => {
    const reason = advice.slower(node, form)
    return reason === undefined ? [] : [{ node, reason }]
  })
  return {
    step: {
      pass: step.pass,
      options: excludeAlso(
        step.options,
        slower.map(({ node }) => nameOf(node)),
      ),
    },
    reasons: new Map(slower.flatMap(({ node, reason }) => (node.name === '' ? [] : [[node.name, reason]]))),
    savings: new Map([...model.graph.nodes].flatMap((node) => savingOf(node, advice.timesOf(node), form))),
  }
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

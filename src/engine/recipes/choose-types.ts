import { allNodes, type Model } from '../ir/model.ts'
import type { KernelAdvice, KernelForm } from '../oracle/index.ts'
import { reducesRange } from '../passes/int8-target.ts'
import type { PassName } from '../passes/options/index.ts'
import type { Target } from '../passes/pass.ts'
import type { RecipeStep } from './schema.ts'

/** Types that static int8 can have, by form. The first is what a host gets that nobody measured. */
const typesByForm = {
  'qdq-u8s8': { activations: 'uint8', weights: 'int8' },
  'qdq-u8u8': { activations: 'uint8', weights: 'uint8' },
  'qdq-s8s8': { activations: 'int8', weights: 'int8' },
} as const satisfies Partial<Record<KernelForm, object>>

type StaticForm = keyof typeof typesByForm

/** The forms that a pass gives to what it quantizes, whatever its options say; passes that aren't here change no kernel. */
const formsOfPass: Partial<Record<PassName, readonly KernelForm[]>> = {
  auto: ['qdq-u8s8'],
  'quantize.dynamic': ['dynamic'],
}

/** The forms that a step may give to the nodes it quantizes, the usual one first; none for steps that change no kernel. */
export function possibleForms({ pass, options }: RecipeStep): readonly KernelForm[] {
  if (pass !== 'quantize.static' && pass !== 'quantize.mixed' && pass !== 'qat') return formsOfPass[pass] ?? []
  const { activations = 'uint8', weights = 'int8' } = options
  return (Object.keys(typesByForm) as StaticForm[]).filter((form) => {
    const types = typesByForm[form]
    return isOpen(activations, types.activations) && isOpen(weights, types.weights)
  })
}

const isOpen = (chosen: unknown, type: string) => chosen === 'auto' || chosen === type

/** Another form than the usual one must be so much faster: it has gaps of its own (see `schemeWarnings`). */
const worthwhileRatio = 0.95

/** Where the usual form saturates, and so gets 7-bit weights, one that doesn't may even be a little slower. */
const unsaturatedRatio = 1.05

/** The form that runs the layers of a model fastest on this host, by the oracle. */
export function chooseForm(
  model: Model,
  advice: KernelAdvice,
  forms: readonly KernelForm[],
  target: Target,
): KernelForm {
  const [usual = 'fp32', ...others] = forms
  const saturates = usual === 'qdq-u8s8' && reducesRange(target, 'auto')
  return others.reduce((best, form) => {
    const ratio = ratioOf(model, advice, form, best)
    const limit = saturates && form === 'qdq-u8u8' ? unsaturatedRatio : worthwhileRatio
    return ratio !== undefined && ratio <= limit ? form : best
  }, usual)
}

/** Time in one form / time in the other, over the layers whose times are known in both. */
function ratioOf(model: Model, advice: KernelAdvice, form: KernelForm, other: KernelForm): number | undefined {
  let [sum, otherSum] = [0, 0]
  for (const node of allNodes(model)) {
    const times = advice.timesOf(node)
    const [micros, otherMicros] = [times?.[form], times?.[other]]
    if (micros == null || otherMicros == null) continue
    sum += micros
    otherSum += otherMicros
  }
  return otherSum === 0 ? undefined : sum / otherSum
}

/** Options with the types of a form where they were left open. */
export function withTypes(options: RecipeStep['options'], form: KernelForm): RecipeStep['options'] {
  const types: Readonly<Record<string, string>> | undefined = isStatic(form) ? typesByForm[form] : undefined
  const open = Object.entries(types ?? {}).filter(([key]) => options[key] === 'auto')
  return open.length === 0 ? options : { ...options, ...Object.fromEntries(open) }
}

function isStatic(form: KernelForm): form is StaticForm {
  return Object.hasOwn(typesByForm, form)
}

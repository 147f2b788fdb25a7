import { HastenError } from '../../errors.ts'
import { inferTypes } from '../ops/index.ts'
import type { Model } from '../ir/model.ts'
import type { Dim, ValueType } from '../ir/value-type.ts'
import { encodeModel } from '../onnx/index.ts'
import { removeDeadNodes, removeUnusedInitializers } from '../rewrite/dead.ts'
import type { Feeds, Runtime, Session } from '../runtime/port.ts'
import { io, valuesByName } from './forward.ts'
import { findHead } from './head.ts'
import { losses } from './losses.ts'
import type { LossOptions } from './options.ts'
import { liftWeights } from './prepare.ts'
import type { StepperOptions } from './stepper.ts'

export interface FeatureMatch {
  /** Names of values with the same dims, in the student and in the first teacher. */
  readonly student: string
  readonly teacher: string
  /** 1 by default. */
  readonly weight?: number
}

/** Models that a student learns from. Several are an ensemble: their logits are averaged. */
export interface TeacherOptions {
  readonly models: readonly Model[]
  /** Weight of the labels, 0 to 1; with 0 none are needed. */
  readonly alpha: number
  /** T of the softened distributions, 1 and up. */
  readonly temperature: number
  readonly features?: readonly FeatureMatch[]
}

/** What teachers say to a batch, as inputs of the student's step: memory of the runtime until `release`. */
export interface Answer {
  readonly feeds: Feeds
  release(): void
}

/** Teachers that are loaded. */
export interface Teachers {
  run(feeds: Feeds): Promise<Answer>
  close(): Promise<void>
}

interface TeacherTarget {
  readonly output: string | undefined
  readonly loss: LossOptions
  /** The student's output. */
  readonly type: ValueType & { readonly dims: readonly Dim[] }
  readonly features: readonly (ValueType | undefined)[]
  /** The student's inputs. */
  readonly inputs: readonly string[]
}

/** @throws HastenError `teacher_mismatch` when a teacher's output or features have other dims, or it takes other inputs */
export async function openTeachers(
  runtime: Runtime,
  { models, features = [] }: TeacherOptions,
  target: TeacherTarget,
  options: StepperOptions,
): Promise<Teachers> {
  if (models.length === 0) throw new HastenError('recipe_invalid', 'there is no teacher to learn from')
  const parts = models.map((model, index) => buildTeacher(model, index, index === 0 ? features : [], target))
  const opened: { session: Session; inputs: ReadonlyMap<string, string> }[] = []
  const close = async () => {
    await Promise.all(opened.splice(0).map(({ session }) => session.release()))
  }
  try {
    for (const { model, inputs } of parts) {
      opened.push({ session: await runtime.createSession({ bytes: encodeModel(model) }, options), inputs })
    }
  } catch (error) {
    await close()
    throw error
  }
  return {
    close,
    async run(feeds) {
      const said: Feeds[] = []
      const releases: (() => void)[] = []
      const release = () => releases.forEach((each) => each())
      try {
        for (const { session, inputs } of opened) {
          const own = Object.fromEntries([...inputs].map(([name, from]) => [name, feeds[from]]))
          const borrowed = await session.runBorrowed(own as Feeds, { signal: options.signal })
          releases.push(() => borrowed.release())
          said.push(borrowed.outputs)
        }
      } catch (error) {
        release()
        throw error
      }
      return { feeds: Object.assign({}, ...said) as Feeds, release }
    },
  }
}

interface TeacherModel {
  readonly model: Model
  /** The student's input by the teacher's. */
  readonly inputs: ReadonlyMap<string, string>
}

/** A teacher that gives the logits (or numbers) a student is compared with, and the features. */
function buildTeacher(
  original: Model,
  index: number,
  features: readonly FeatureMatch[],
  target: TeacherTarget,
): TeacherModel {
  const model = liftWeights(original)
  const { graph } = model
  const hasOutput = graph.outputs.some(({ name }) => name === target.output)
  const head = findHead(graph, hasOutput ? target.output : undefined, losses[target.loss.kind].reads)
  const types = inferTypes(model)
  if (!fits(types.of(head.value), target.type)) throw mismatch(`teacher ${index}`, types.of(head.value), target.type)
  const values = valuesByName(graph)
  for (const value of graph.outputs.toReversed()) graph.removeOutput(value)
  const give = (name: string, value: Parameters<typeof graph.addOutput>[0]) => {
    const [copy] = graph.addNode({ opType: 'Identity', inputs: [value], outputs: [name] }).outputs
    if (copy !== undefined) graph.addOutput(copy)
  }
  give(io.teacher(index), head.value)
  features.forEach(({ teacher }, at) => {
    const value = values.get(teacher)
    if (value === undefined)
      throw new HastenError('recipe_invalid', `the teacher has no value '${teacher}' to learn from`)
    if (!fits(types.of(value), target.features[at]))
      throw mismatch(`'${teacher}'`, types.of(value), target.features[at])
    give(io.feature(at), value)
  })
  removeDeadNodes(graph)
  removeUnusedInitializers(model)
  const names = graph.inputs.filter((input) => input.initializer === undefined).map(({ name }) => name)
  return { model, inputs: matchInputs(names, target.inputs, index) }
}

/** Whether two types can be those of one tensor. */
function fits(type: ValueType | undefined, wanted: ValueType | undefined): boolean {
  if (type?.dims == null || wanted?.dims == null) return false
  const { dims } = wanted
  if (type.dtype !== wanted.dtype || type.dims.length !== dims.length) return false
  return type.dims.every((dim, axis) => typeof dim !== 'number' || typeof dims[axis] !== 'number' || dim === dims[axis])
}

function mismatch(what: string, type: ValueType | undefined, wanted: ValueType | undefined): HastenError {
  const show = (each: ValueType | undefined) =>
    each === undefined ? 'an unknown type' : `${each.dtype} [${each.dims?.map((dim) => dim ?? '?').join(', ') ?? '…'}]`
  return new HastenError('teacher_mismatch', `${what} gives ${show(type)}, the student ${show(wanted)}`)
}

function matchInputs(
  teacher: readonly string[],
  student: readonly string[],
  index: number,
): ReadonlyMap<string, string> {
  const [only] = student
  if (teacher.length === 1 && student.length === 1) return new Map([[teacher[0] as string, only as string]])
  const missing = teacher.find((name) => !student.includes(name))
  if (missing === undefined) return new Map(teacher.map((name) => [name, name]))
  throw new HastenError('teacher_mismatch', `teacher ${index} takes '${missing}', which the student does not`)
}

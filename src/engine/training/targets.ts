import { HastenError } from '../../errors.ts'
import type { ArrayInfo } from '../data/index.ts'
import { elementCount, isViewable, tensorOf, viewOf, type Tensor } from '../ir/tensor.ts'
import type { Dim, ValueType } from '../ir/value-type.ts'
import type { TargetForm } from './losses.ts'

/** How labels of a dataset become the target of a loss. */
export interface TargetPlan {
  readonly type: ValueType
  /** Axis of the classes in the output. */
  readonly axis: number
  /** Number of classes; undefined where the loss has none, or the model does not say. */
  readonly classes: number | undefined
}

/**
 * Fits labels to an output.
 * @param labels the dataset's array; undefined where only the form is wanted (a teacher gives the target)
 * @throws HastenError `dataset_mismatch` when the dims can't be those of labels for this output
 */
export function planTargets(
  output: ValueType & { readonly dims: readonly Dim[] },
  form: TargetForm,
  labels: ArrayInfo | undefined,
  wantedAxis?: number,
): TargetPlan {
  const { dims } = output
  if (form !== 'classes') {
    if (labels !== undefined) checkCount(labels, dims.slice(1))
    return { type: { dtype: 'float32', dims }, axis: wantedAxis ?? -1, classes: undefined }
  }
  const axis = findClassAxis(dims, labels?.dims.slice(1) ?? [], wantedAxis)
  const classes = dims[axis]
  const type: ValueType = { dtype: 'int64', dims: dims.toSpliced(axis, 1) }
  if (labels !== undefined) {
    checkInteger(labels)
    checkCount(labels, dims.toSpliced(axis, 1).slice(1))
  }
  return { type, axis, classes: typeof classes === 'number' ? classes : undefined }
}

/** PyTorch's place is axis 1; sequences of exporters often have the classes last. */
function findClassAxis(dims: readonly Dim[], labels: readonly number[], wanted: number | undefined): number {
  const rank = dims.length
  if (rank < 2) {
    throw new HastenError(
      'dataset_mismatch',
      `cross-entropy needs an output of samples by classes; it has dims ${show(dims)}`,
    )
  }
  if (wanted !== undefined) return wanted < 0 ? rank + wanted : wanted
  const fits = (axis: number) => {
    const rest = dims.toSpliced(axis, 1).slice(1)
    return rest.length === labels.length && rest.every((dim, index) => typeof dim !== 'number' || dim === labels[index])
  }
  return [1, rank - 1].find(fits) ?? (rank === 2 ? 1 : rank - 1)
}

function checkInteger({ name, dtype }: ArrayInfo): void {
  if (/^u?int(8|16|32|64)$/.test(dtype)) return
  throw new HastenError(
    'dataset_mismatch',
    `labels "${name}" are ${dtype}; cross-entropy takes class indices, which are integers`,
    {
      hint: 'Save the labels as integers from 0, or choose another loss.',
    },
  )
}

function checkCount(labels: ArrayInfo, tail: readonly Dim[]): void {
  if (!tail.every((dim) => typeof dim === 'number')) return
  const [wanted, got] = [elementCount(tail), elementCount(labels.dims.slice(1))]
  if (wanted === got) return
  const detail = `labels "${labels.name}" have dims ${show(labels.dims)}, ${got} numbers a sample; the output needs ${wanted}`
  throw new HastenError('dataset_mismatch', detail, {
    hint: 'Labels are class indices for cross-entropy, and numbers of the dims of the output for other losses.',
  })
}

/** A batch of labels as the step takes them. */
export function toTarget({ type }: TargetPlan, labels: Tensor): Tensor {
  const [count = 1] = labels.dims
  const tail = type.dims?.slice(1) ?? []
  const isStatic = tail.every((dim) => typeof dim === 'number')
  const dims = isStatic ? [count, ...tail] : labels.dims
  if (type.dtype === labels.dtype && labels.dtype !== 'string') return { ...labels, dims }
  if (type.dtype === 'int64') return tensorOf('int64', dims, BigInt64Array.from(numbersIn(labels), BigInt))
  return tensorOf('float32', dims, Float32Array.from(numbersIn(labels)))
}

/** @throws HastenError `dataset_mismatch` naming the sample whose label is no class */
export function checkLabels({ classes }: TargetPlan, name: string, labels: Tensor, start: number): void {
  if (classes === undefined) return
  const values = numbersIn(labels)
  const index = values.findIndex((value) => value < 0 || value >= classes)
  if (index < 0) return
  const sample = start + Math.floor(index / elementCount(labels.dims.slice(1)))
  const range = `${classes} classes, 0 to ${classes - 1}`
  throw new HastenError(
    'dataset_mismatch',
    `label ${values[index]} of sample ${sample} in "${name}" is out of range; the model has ${range}`,
    {
      hint: 'Number the classes from 0 in the order of the model output.',
    },
  )
}

function numbersIn(tensor: Tensor): number[] {
  if (isViewable(tensor.dtype) && !tensor.dtype.endsWith('float16')) return Array.from(viewOf(tensor), Number)
  throw new HastenError('dataset_mismatch', `labels are ${tensor.dtype}, which no loss takes`)
}

function show(dims: readonly Dim[]): string {
  return `[${dims.map((dim) => dim ?? '?').join(', ')}]`
}

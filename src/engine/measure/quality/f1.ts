import type { SampleStatistic } from './estimate.ts'

/** Labels and what each model predicted, one a sample. */
export interface Predictions {
  readonly labels: number[]
  readonly baseline: number[]
  readonly optimized: number[]
}

/**
 * Macro F1: the mean over the classes that occur (as label or prediction) of 2 TP / (2 TP + FP + FN).
 */
export function macroF1(predictions: Predictions, side: 'baseline' | 'optimized'): SampleStatistic {
  const classes = new Map<number, number>()
  const indexOf = (label: number) => {
    const index = classes.get(label) ?? classes.size
    classes.set(label, index)
    return index
  }
  const labels = Uint32Array.from(predictions.labels, indexOf)
  const predicted = Uint32Array.from(predictions[side], indexOf)
  return (weights) => {
    const hits = new Float64Array(classes.size)
    // A wrong sample is missing from its own class and false in another: FN + FP over all classes.
    const occurrences = new Float64Array(classes.size)
    for (let sample = 0; sample < labels.length; sample += 1) {
      const weight = weights?.[sample] ?? 1
      const [label, guess] = [labels[sample] ?? 0, predicted[sample] ?? 0]
      occurrences[label] = (occurrences[label] ?? 0) + weight
      occurrences[guess] = (occurrences[guess] ?? 0) + weight
      if (label === guess) hits[label] = (hits[label] ?? 0) + weight
    }
    return meanF1(hits, occurrences)
  }
}

/** `occurrences` are 2 TP + FP + FN: a hit occurs as label and as prediction. */
function meanF1(hits: Float64Array, occurrences: Float64Array): number {
  let [sum, present] = [0, 0]
  for (let index = 0; index < hits.length; index += 1) {
    const occurrence = occurrences[index] ?? 0
    if (occurrence === 0) continue
    sum += (2 * (hits[index] ?? 0)) / occurrence
    present += 1
  }
  return sum / present
}

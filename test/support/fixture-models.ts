import path from 'node:path'

const folder = path.join(import.meta.dirname, '../fixtures/models')

function fixture(name: string) {
  return {
    model: path.join(folder, `${name}.onnx`),
    calibration: path.join(folder, `${name}.calibration.npz`),
    /** Its labels are in the array `labels`. */
    evaluation: path.join(folder, `${name}.evaluation.npz`),
  }
}

/** Small trained models with data; `scripts/fixtures/models/` made them. */
export const fixtureModels = {
  /** Spam or ham from 64 tokens: input_ids, attention_mask → logits [batch, 2]. */
  transformer: fixture('transformer'),
  /** A digit from the rows of its image [batch, 28, 28] → logits [batch, 10]. */
  lstm: fixture('lstm'),
  /** A digit from 64 features → label, probabilities; operators of ai.onnx.ml. */
  boostedTrees: fixture('boosted-trees'),
}

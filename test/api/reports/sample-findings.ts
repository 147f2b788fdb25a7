import type { JobFindings } from '../../../src/api/reports/artifacts.ts'

const counts = { nodes: 40, integer: 0, float_layers: 6, conversions: 0, fused: { FusedConv: 3 } }

/** What a job may find, with the texts of a test. */
export function sampleFindings(text = 'conv1'): Required<JobFindings> {
  const trial = { size_ratio: 0.3, detail: text }
  return {
    trials: {
      trials: [
        {
          ...trial,
          name: text,
          measured_by: 'search',
          speedup: 3,
          ci95: null,
          loss: 0.2,
          passes: false,
          pareto: true,
          chosen: false,
        },
        {
          ...trial,
          name: 'auto',
          measured_by: 'job',
          speedup: 2.5,
          ci95: [2.4, 2.6],
          loss: 0.002,
          passes: true,
          pareto: true,
          chosen: true,
        },
        {
          ...trial,
          name: 'original',
          measured_by: 'job',
          speedup: 1,
          ci95: [0.98, 1.02],
          loss: 0,
          passes: true,
          pareto: true,
          chosen: false,
        },
        {
          ...trial,
          name: 'w4',
          measured_by: 'search',
          speedup: null,
          ci95: null,
          loss: null,
          passes: false,
          pareto: false,
          chosen: false,
        },
      ],
    },
    forecast: {
      steps: [
        {
          pass: text,
          form: 'qdq-u8s8',
          layers: 6,
          unknown: 1,
          float_us: 900,
          form_us: 300,
          conversions_us: { low: 5, high: 40 },
          model_us: 1000,
          speedup: { estimate: 2.4, low: 1.9, high: 2.9 },
        },
      ],
      measured: { speedup: 2.5, ci95: [2.4, 2.6] },
    },
    training: {
      steps: [
        {
          pass: text,
          options: {
            loss: { kind: 'cross-entropy', labelSmoothing: 0 },
            optimizer: { kind: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, decayed: 'matrices' },
            learningRate: 0.001,
            schedule: { kind: 'cosine', floor: 0, warmup: 0 },
            clipNorm: 1,
            ema: 0,
            batch: 32,
            accumulate: 1,
            epochs: 3,
            maxSteps: 0,
            patience: 2,
            validationShare: 0.1,
            seed: 7,
            keepZeros: true,
          },
          learned_from: { alpha: 0.5, teachers: ['original', text], temperature: 4 },
          samples: { trained_on: 90, held_back: 10 },
          metric: 'agreement',
          epochs: [
            { epoch: 0, step: 0, loss: null, validation_loss: 1.25, metric: 0.5, learning_rate: null },
            { epoch: 1, step: 3, loss: 0.9, validation_loss: 0.75, metric: 0.8, learning_rate: 0.00075 },
            { epoch: 2, step: 6, loss: 0.5, validation_loss: 0.5, metric: 0.9, learning_rate: 0.00025 },
            { epoch: 3, step: 9, loss: 0.4, validation_loss: 0.6, metric: 0.8, learning_rate: 0.00002 },
          ],
          losses: [1.1, 0.9, 0.7, 0.6, 0.5, 0.4, 0.45, 0.4, 0.35].map((loss, index) => ({ step: index + 1, loss })),
          updates: 9,
          best_epoch: 2,
          stopped: 'epochs',
          parameters: { trained: 1000, tensors: 4, frozen: [text], frozen_tensors: 1 },
          held: { weights: [text], tensors: 1, zeros: 250, sparsity: 0.25 },
          resumed: [{ epoch: 2, step: 4 }],
        },
      ],
    },
    sensitivity: {
      metric: 'top-1 lost',
      budget: 0.01,
      loss: 0.05,
      settled_loss: 0.004,
      untried: [],
      layers: [
        { rank: 1, node: text, op: 'Conv', loss_without: 0.01, relief: 0.04, saves_us: 12.5, kept: 'float' },
        { rank: 2, node: 'fc', op: 'Gemm', loss_without: 0.05, relief: null, saves_us: null, kept: 'int8' },
      ],
    },
    explanation: {
      nodes: [
        {
          pass: 'quantize.static',
          node: 'fc',
          op: 'Gemm',
          outcome: 'changed',
          cause: null,
          reason: 'runs in int8',
          form: { kind: 'qdq', activations: 'uint8', weights: 'int8', per_channel: true },
        },
        { pass: 'quantize.static', node: text, op: 'Conv', outcome: 'left', cause: 'slower', reason: text, form: null },
      ],
      omitted: 0,
      runtime: {
        before: counts,
        after: { nodes: 30, integer: 5, float_layers: 1, conversions: 2, fused: { QLinearConv: 5 } },
        conversions: [{ op: 'QuantizeLinear', node: 'q', from: text, to: ['fc'] }],
        float_layers: [{ op: 'FusedConv', node: text }],
        gained: { QLinearConv: 5 },
        lost: { FusedConv: 3 },
      },
    },
  }
}

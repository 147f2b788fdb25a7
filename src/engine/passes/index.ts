import { bf16Pass } from './bf16.ts'
import { codebookPass } from './codebook.ts'
import { autoPass } from './auto.ts'
import { distillPass } from './distill.ts'
import { factorizePass } from './factorize.ts'
import { finetunePass } from './finetune.ts'
import { fp16Pass } from './fp16.ts'
import type { PassName } from './options/index.ts'
import type { Pass } from './pass.ts'
import { pruneDepthPass } from './prune-depth.ts'
import { pruneNmPass } from './prune-nm.ts'
import { pruneStructuredPass } from './prune-structured.ts'
import { pruneUnstructuredPass } from './prune-unstructured.ts'
import { qatPass } from './qat.ts'
import { quantizeDynamicPass } from './quantize-dynamic.ts'
import { quantizeMixedPass } from './quantize-mixed.ts'
import { quantizeStaticPass } from './quantize-static.ts'
import { quantizeWeightsPass } from './quantize-weights.ts'
import { simplifyPass } from './simplify.ts'
import { tunePass } from './tune.ts'

/** Every pass by the name that recipes use. */
export const passes = {
  simplify: simplifyPass,
  fp16: fp16Pass,
  bf16: bf16Pass,
  'quantize.dynamic': quantizeDynamicPass,
  'quantize.static': quantizeStaticPass,
  'quantize.mixed': quantizeMixedPass,
  'quantize.weights': quantizeWeightsPass,
  codebook: codebookPass,
  'prune.unstructured': pruneUnstructuredPass,
  'prune.nm': pruneNmPass,
  'prune.structured': pruneStructuredPass,
  'prune.depth': pruneDepthPass,
  factorize: factorizePass,
  finetune: finetunePass,
  distill: distillPass,
  qat: qatPass,
  auto: autoPass,
  tune: tunePass,
} as const satisfies { [N in PassName]: Pass<N> }

export {
  finiteOrNull,
  type ExplanationReport,
  type PassFindings,
  type StepForecast,
  type TrialsReport,
} from './findings.ts'
export { lossOf } from './judge-variant.ts'
export { runPass } from './run-pass.ts'
export type { CheckpointStore } from './train/hooks.ts'
export type {
  MeasureSessions,
  Note,
  PassContext,
  PassResult,
  PassStage,
  SessionTiming,
  Target,
  Warning,
} from './pass.ts'

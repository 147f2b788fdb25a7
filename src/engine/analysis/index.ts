export { defaultAdmissionLimits, type AdmissionLimits, type Finding } from './admission-checks.ts'
export { admitFile, type AdmissionReport } from './admit.ts'
export { describeModel, macsOf, type InterfaceFacts, type ModelFacts } from './facts.ts'
export { trialRun, type TrialOptions, type TrialReport } from './trial-run.ts'

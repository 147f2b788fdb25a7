import type { ProviderChoice } from './options.ts'

/** ONNX Runtime's names of the execution providers that may be chosen. */
export const providerNames = {
  cpu: 'CPUExecutionProvider',
  cuda: 'CUDAExecutionProvider',
  tensorrt: 'TensorrtExecutionProvider',
} as const satisfies Record<ProviderChoice['name'], string>

/** The providers of a session in order of preference. The CPU provider takes the nodes that no other one can run. */
export function listProviders(choices: readonly ProviderChoice[] = []): string[] {
  return [...new Set([...choices.map(({ name }) => providerNames[name]), providerNames.cpu])]
}

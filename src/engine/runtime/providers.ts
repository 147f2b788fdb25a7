import type { ProviderChoice } from './options.ts'

/** ONNX Runtime's names of the execution providers that may be chosen. */
export const providerNames = {
  cpu: 'CPUExecutionProvider',
  cuda: 'CUDAExecutionProvider',
  tensorrt: 'TensorrtExecutionProvider',
} as const satisfies Record<ProviderChoice['name'], string>

type GpuChoice = Exclude<ProviderChoice, { name: 'cpu' }>

/**
 * The providers to append, in order of preference. Those after the CPU would get nothing, as the CPU can run every
 * node; but the runtime puts the CPU last whatever it is told, so they must not be appended.
 */
export function selectGpuProviders(choices: readonly ProviderChoice[] = []): GpuChoice[] {
  const end = choices.findIndex(({ name }) => name === 'cpu')
  return choices.slice(0, end === -1 ? choices.length : end).filter((choice) => choice.name !== 'cpu')
}

/** The providers of a session in order of preference. The CPU provider takes the nodes that no other one can run. */
export function listProviders(choices?: readonly ProviderChoice[]): string[] {
  return [...selectGpuProviders(choices).map(({ name }) => providerNames[name]), providerNames.cpu]
}

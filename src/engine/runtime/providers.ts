import type { ProviderChoice } from './options.ts'
import type { Session } from './port.ts'

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

/**
 * Nodes that run on the CPU although another provider was asked for first: what a placement report must state.
 * Null where the adapter cannot tell.
 */
export function countFallbackNodes({ providers, nodeCounts }: Session): number | null {
  if (providers[0] === providerNames.cpu) return 0
  return nodeCounts === undefined ? null : (nodeCounts[providerNames.cpu] ?? 0)
}

import type { SessionOptions } from '../../engine/index.ts'
import type { OptimizeTarget } from './input.ts'

type Providers = NonNullable<SessionOptions['providers']>

// A slot shows its process one GPU only, so it is always the first.
const providersOf: Readonly<Record<OptimizeTarget['device'], Providers>> = {
  cpu: [{ name: 'cpu' }],
  cuda: [{ name: 'cuda', options: { device_id: 0 } }, { name: 'cpu' }],
}

/** Session options of both models: the target's device and threads, and what a pass chose on top. */
export function sessionFor({ device, threads }: OptimizeTarget, chosen: SessionOptions = {}): SessionOptions {
  return { providers: providersOf[device], intraOpThreads: threads, ...chosen }
}

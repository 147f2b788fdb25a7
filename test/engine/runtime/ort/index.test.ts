import { createOrtRuntime } from '../../../../src/engine/runtime/ort/index.ts'
import { describeRuntime } from '../conformance.ts'

describeRuntime(() => createOrtRuntime({ runThreads: 2 }), {
  asynchronous: true,
  anyBytes: true,
  knowsScalars: true,
  borrows: true,
  freeDimensions: true,
  providerOptions: true,
  refusedDTypes: [],
})

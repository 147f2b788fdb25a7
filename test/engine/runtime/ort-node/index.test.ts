import { createOrtNodeRuntime } from '../../../../src/engine/runtime/ort-node/index.ts'
import { describeRuntime } from '../conformance.ts'

// Memory is not checked here: each load and release of the binding keeps about 0.4 MB of a 5 MB model.
describeRuntime(createOrtNodeRuntime, {
  asynchronous: false,
  anyBytes: false,
  knowsScalars: false,
  borrows: false,
  freeDimensions: false,
  providerOptions: false,
  refusedDTypes: ['bfloat16', 'float8e4m3fn'],
})

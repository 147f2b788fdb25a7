import { afterAll, beforeAll, describe } from 'vitest'

import type { DType } from '../../../src/engine/ir/dtype.ts'
import type { Runtime } from '../../../src/engine/runtime/port.ts'
import { checkControl } from './conformance/control.ts'
import { checkDTypes } from './conformance/dtypes.ts'
import { checkInputs } from './conformance/inputs.ts'
import { checkLifecycle } from './conformance/lifecycle.ts'
import { checkLoading } from './conformance/loading.ts'
import { checkOptions } from './conformance/options.ts'
import { checkOutputs } from './conformance/outputs.ts'
import { checkResident } from './conformance/resident.ts'

/** Where an adapter may differ from the port's promise, each difference said in its doc comment. */
export interface Capabilities {
  /** Load and run leave the event loop free, and an abort or a deadline ends a run inside native code. */
  readonly asynchronous: boolean
  /** Strings may hold NUL bytes and bytes that are not UTF-8. */
  readonly anyBytes: boolean
  /** Tells an input of rank 0 from one of unknown rank. */
  readonly knowsScalars: boolean
  /** `runBorrowed` shows native memory, which `release` takes away. */
  readonly borrows: boolean
  readonly freeDimensions: boolean
  readonly providerOptions: boolean
  /** Models with inputs of these dtypes are refused when they load. */
  readonly refusedDTypes: readonly DType[]
}

/** What each part of the suite gets. `runtime` is there once the tests run. */
export interface Subject {
  readonly runtime: () => Runtime
  readonly create: () => Runtime
  readonly can: Capabilities
}

/** The suite that every adapter of the `Runtime` port passes. */
export function describeRuntime(create: () => Runtime, can: Capabilities): void {
  let runtime: Runtime
  beforeAll(() => {
    runtime = create()
  })
  afterAll(() => runtime.close())
  const subject: Subject = { runtime: () => runtime, create, can }

  describe('dtypes', () => checkDTypes(subject))
  describe('inputs', () => checkInputs(subject))
  describe('outputs', () => checkOutputs(subject))
  describe('resident tensors', () => checkResident(subject))
  describe('cancellation and concurrency', () => checkControl(subject))
  describe('loading', () => checkLoading(subject))
  describe('session options', () => checkOptions(subject))
  describe('lifecycle', () => checkLifecycle(subject))
}

import { expect, test } from 'vitest'

import {
  entryCount,
  queryFunctions,
  releaseFunctions,
  statusFunctions,
} from '../../../../src/engine/runtime/ort/api-table.ts'
import { bindApi, createSlots } from '../../../../src/engine/runtime/ort/api.ts'
import { createOrtRuntime } from '../../../../src/engine/runtime/ort/index.ts'
import { loadLibrary } from '../../../../src/engine/runtime/ort/library.ts'
import { hasProviderLibrary, libraryPath } from '../../../../src/engine/runtime/native-files.ts'
import { ocrModels } from '../../../support/models.ts'

test('a library that is absent, or is none, is a named error', () => {
  expect(() => createOrtRuntime({ library: '/nope/libonnxruntime.so' })).toThrow(
    expect.objectContaining({ code: 'device_unavailable', message: expect.stringContaining('/nope') }),
  )
  expect(() => createOrtRuntime({ library: import.meta.filename })).toThrow(
    expect.objectContaining({ code: 'device_unavailable' }),
  )
})

test('the function table names each entry once, and all that it reads', () => {
  const rows = [statusFunctions, releaseFunctions, queryFunctions].flatMap((table) => Object.values(table))
  const indexes = rows.map(([index]) => index)
  expect(new Set(indexes).size).toBe(indexes.length)
  expect(Math.max(...indexes)).toBe(entryCount - 1)
})

test('loading twice gives the same table and declares no type twice', () => {
  const [first, second] = [loadLibrary(libraryPath()), loadLibrary(libraryPath())]
  expect(first.entries).toEqual(second.entries)
  expect(first.entries).not.toContain(null)
  expect([bindApi(first), bindApi(second)].map(({ version }) => version)).toEqual([first.version, first.version])
})

test('a failing call throws its code and message', () => {
  const api = bindApi(loadLibrary(libraryPath()))
  const options = api.get('CreateSessionOptions')
  expect(() => api.call('SetSessionGraphOptimizationLevel', options, 7)).toThrow(
    expect.objectContaining({
      name: 'OrtError',
      code: 2,
      message: expect.stringContaining('graph_optimization_level'),
    }),
  )
  api.release('ReleaseSessionOptions', options)
})

test('a set cancellation flag ends a load', () => {
  const api = bindApi(loadLibrary(libraryPath()))
  const env = api.get('CreateEnv', 4, 'test')
  const options = api.get('CreateSessionOptions')
  api.call('SessionOptionsSetLoadCancellationFlag', options, true)
  const load = () => api.call('CreateSession', env, ocrModels.cls, options, createSlots(1))
  // 12 is ORT_MODEL_LOAD_CANCELED.
  expect(load).toThrow(expect.objectContaining({ code: 12 }))
  api.release('ReleaseSessionOptions', options)
  api.release('ReleaseEnv', env)
})

test('the CPU needs no library of its own', () => {
  expect(hasProviderLibrary('cpu')).toBe(true)
})

import path from 'node:path'

import { expect, test } from 'vitest'

import { HastenError } from '../../../src/errors.ts'
import { nativeFolder } from '../../../src/engine/runtime/native-files.ts'
import { translateLoadError, translateRunError } from '../../../src/engine/runtime/translate-error.ts'

// Messages as ONNX Runtime 1.30 writes them; those a test can provoke here are provoked in the conformance suite.
const loads: [string, string, RegExp][] = [
  ['std::bad_alloc', 'model_out_of_memory', /memory/],
  ['Failed to allocate memory for requested buffer of size 17179869184', 'model_out_of_memory', /17179869184/],
  ['CUDA failure 100: no CUDA-capable device is detected ; GPU=-1', 'device_unavailable', /no CUDA-capable device/],
  [
    'Failed to load library libonnxruntime_providers_cuda.so with error: libcudnn.so.9: cannot open shared object file: No such file or directory',
    'device_unavailable',
    /libcudnn/,
  ],
  ['Unsupported model IR version: 99, max supported IR version: 13', 'model_load_failed', /export it again/],
  ['something nobody foresaw', 'model_load_failed', /refuses the model: something nobody foresaw/],
]

test.each(loads)('load: %s', (message, code, detail) => {
  expect(translateLoadError(new Error(message))).toMatchObject({ code, message: detail })
})

const runs: [string, string, RegExp][] = [
  ['Failed to allocate memory for requested buffer of size 5', 'model_out_of_memory', /memory/],
  ['CUDA failure 2: out of memory ; GPU=0', 'model_out_of_memory', /memory/],
  ['CUDA failure 700: an illegal memory access was encountered', 'run_failed', /device failed/],
  ['Invalid rank for input: x Got: 1 Expected: 0 Please fix either the inputs', 'input_shape', /Got: 1/],
  ['Non-zero status code returned while running Gather node.', 'run_failed', /Gather/],
]

test.each(runs)('run: %s', (message, code, detail) => {
  expect(translateRunError(new Error(message))).toMatchObject({ code, message: detail })
})

test('keeps its own errors, and the cause of others', () => {
  const own = new HastenError('input_missing', 'input "x" is missing')
  expect(translateRunError(own)).toBe(own)
  const native = new Error('native')
  expect(translateRunError(native).cause).toBe(native)
  expect(translateLoadError('a string').message).toContain('a string')
})

test('tells neither source positions nor folders of this host, and is bounded', () => {
  const folder = path.resolve('/srv/models/secret-project')
  const message =
    `/onnxruntime_src/onnxruntime/core/graph/graph.cc:1988 onnxruntime::Graph& onnxruntime::Model::Get() const ` +
    `Load of ${folder}${path.sep}m.onnx failed, see ${nativeFolder()}${path.sep}x.so ${'y'.repeat(5000)}`
  const detail = translateLoadError(new Error(message), folder).message
  expect(detail).toContain('Load of m.onnx failed, see x.so')
  expect(detail).not.toContain('graph.cc')
  const short = translateRunError(new Error('FAIL : tensor.cc:57 CalculateTensorStorageSize shape.Size() must be >= 0'))
  expect(short.message).toMatch(/: FAIL : shape\.Size\(\) must be >= 0$/)
  expect(detail.length).toBeLessThan(800)
})

test('a model in the root or in a relative folder does not garble the text', () => {
  const text = 'Load model ./a/b.onnx failed. See /c.'
  for (const folder of ['/', '.', 'a']) expect(translateLoadError(new Error(text), folder).message).toContain(text)
})

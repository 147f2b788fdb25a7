import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import type { ProviderChoice } from './options.ts'

interface FileNames {
  readonly library: string
  /** The shared library of a GPU provider, which is installed apart. */
  readonly provider: (name: string) => string
}

const posixNames = (library: string, suffix: string): FileNames => ({
  library,
  provider: (name) => `libonnxruntime_providers_${name}.${suffix}`,
})

const fileNames: Partial<Record<NodeJS.Platform, FileNames>> = {
  darwin: posixNames('libonnxruntime.1.dylib', 'dylib'),
  win32: { library: 'onnxruntime.dll', provider: (name) => `onnxruntime_providers_${name}.dll` },
}

const platformNames = fileNames[process.platform] ?? posixNames('libonnxruntime.so.1', 'so')

/** The folder where `onnxruntime-node` keeps the native libraries for this platform. */
export function nativeFolder(): string {
  const packageFile = createRequire(import.meta.url).resolve('onnxruntime-node/package.json')
  return path.join(path.dirname(packageFile), 'bin', 'napi-v6', process.platform, process.arch)
}

/** Path of ONNX Runtime's shared library. */
export function libraryPath(): string {
  return path.join(nativeFolder(), platformNames.library)
}

/** Whether the provider's library is installed. The CPU's is part of the runtime. */
export function hasProviderLibrary(name: ProviderChoice['name']): boolean {
  return name === 'cpu' || existsSync(path.join(nativeFolder(), platformNames.provider(name)))
}

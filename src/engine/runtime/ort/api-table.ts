/**
 * The functions of ONNX Runtime's `OrtApi` that the adapter calls. `OrtApi` only ever grows at its end, so a
 * function's index (onnxruntime_c_api.h) never changes. Parameters are written as kinds:
 * `ptr` a native pointer, `buf` JS memory that native code reads or writes during the call, `out` JS memory that
 * receives one pointer or integer, `str` a NUL-terminated UTF-8 string, `path` a path in the platform's encoding.
 */
interface ArgumentTypes {
  ptr: bigint | null
  buf: ArrayBufferView | bigint | null
  out: BigUint64Array
  str: string
  path: string
  int: number
  size: number
  int64: number
  bool: boolean
}

export type ArgumentKind = keyof ArgumentTypes

type Row = readonly [index: number, ...kinds: ArgumentKind[]]

/** Functions that return `OrtStatus *`: null is success, anything else must be read and released. */
export const statusFunctions = {
  CreateEnv: [3, 'int', 'str', 'out'],
  CreateSession: [7, 'ptr', 'path', 'ptr', 'out'],
  CreateSessionFromArray: [8, 'ptr', 'buf', 'size', 'ptr', 'out'],
  Run: [9, 'ptr', 'ptr', 'buf', 'buf', 'size', 'buf', 'size', 'buf'],
  CreateSessionOptions: [10, 'out'],
  SetOptimizedModelFilePath: [11, 'ptr', 'path'],
  SetSessionExecutionMode: [13, 'ptr', 'int'],
  EnableMemPattern: [16, 'ptr'],
  DisableMemPattern: [17, 'ptr'],
  EnableCpuMemArena: [18, 'ptr'],
  DisableCpuMemArena: [19, 'ptr'],
  SetSessionLogSeverityLevel: [22, 'ptr', 'int'],
  SetSessionGraphOptimizationLevel: [23, 'ptr', 'int'],
  SetIntraOpNumThreads: [24, 'ptr', 'int'],
  SetInterOpNumThreads: [25, 'ptr', 'int'],
  SessionGetInputCount: [30, 'ptr', 'out'],
  SessionGetOutputCount: [31, 'ptr', 'out'],
  SessionGetInputTypeInfo: [33, 'ptr', 'size', 'out'],
  SessionGetOutputTypeInfo: [34, 'ptr', 'size', 'out'],
  SessionGetInputName: [36, 'ptr', 'size', 'ptr', 'out'],
  SessionGetOutputName: [37, 'ptr', 'size', 'ptr', 'out'],
  CreateRunOptions: [39, 'out'],
  RunOptionsSetTerminate: [46, 'ptr'],
  CreateTensorAsOrtValue: [48, 'ptr', 'buf', 'size', 'int', 'out'],
  CreateTensorWithDataAsOrtValue: [49, 'ptr', 'buf', 'size', 'buf', 'size', 'int', 'out'],
  GetTensorMutableData: [51, 'ptr', 'out'],
  GetStringTensorDataLength: [53, 'ptr', 'out'],
  GetStringTensorContent: [54, 'ptr', 'buf', 'size', 'buf', 'size'],
  CastTypeInfoToTensorInfo: [55, 'ptr', 'out'],
  GetTensorElementType: [60, 'ptr', 'out'],
  GetDimensionsCount: [61, 'ptr', 'out'],
  GetDimensions: [62, 'ptr', 'buf', 'size'],
  GetSymbolicDimensions: [63, 'ptr', 'buf', 'size'],
  CreateMemoryInfo: [68, 'str', 'int', 'int', 'int', 'out'],
  CreateCpuMemoryInfo: [69, 'int', 'int', 'out'],
  AllocatorFree: [76, 'ptr', 'ptr'],
  GetAllocatorWithDefaultOptions: [78, 'out'],
  AddFreeDimensionOverrideByName: [124, 'ptr', 'str', 'int64'],
  GetAvailableProviders: [125, 'out', 'out'],
  ReleaseAvailableProviders: [126, 'ptr', 'int'],
  AddSessionConfigEntry: [130, 'ptr', 'str', 'str'],
  CreateAllocator: [131, 'ptr', 'ptr', 'out'],
  AppendTensorRtProvider: [170, 'ptr', 'ptr'],
  CreateTensorRtOptions: [171, 'out'],
  UpdateTensorRtOptions: [172, 'ptr', 'buf', 'buf', 'size'],
  AppendCudaProvider: [204, 'ptr', 'ptr'],
  CreateCudaOptions: [205, 'out'],
  UpdateCudaOptions: [206, 'ptr', 'buf', 'buf', 'size'],
  GetResizedStringTensorElementBuffer: [252, 'ptr', 'size', 'size', 'out'],
  SessionOptionsSetLoadCancellationFlag: [293, 'ptr', 'bool'],
  SessionGetEpGraphAssignmentInfo: [407, 'ptr', 'out', 'out'],
  EpAssignedSubgraphGetEpName: [408, 'ptr', 'out'],
  EpAssignedSubgraphGetNodes: [409, 'ptr', 'out', 'out'],
  GetTensorElementTypeAndShapeDataReference: [414, 'ptr', 'out', 'out', 'out'],
} as const satisfies Record<string, Row>

/** Functions that free something and cannot fail. */
export const releaseFunctions = {
  ReleaseEnv: [92, 'ptr'],
  ReleaseStatus: [93, 'ptr'],
  ReleaseMemoryInfo: [94, 'ptr'],
  ReleaseSession: [95, 'ptr'],
  ReleaseValue: [96, 'ptr'],
  ReleaseRunOptions: [97, 'ptr'],
  ReleaseTypeInfo: [98, 'ptr'],
  ReleaseSessionOptions: [100, 'ptr'],
  ReleaseAllocator: [132, 'ptr'],
  ReleaseTensorRtOptions: [174, 'ptr'],
  ReleaseCudaOptions: [208, 'ptr'],
} as const satisfies Record<string, Row>

/** Functions of one pointer that answer directly and cannot fail. */
export const queryFunctions = {
  GetErrorCode: [1, 'int'],
  GetErrorMessage: [2, 'str'],
  TensorTypeAndShapeHasShape: [390, 'bool'],
} as const satisfies Record<string, readonly [index: number, result: ArgumentKind]>

/** The version of `OrtApi` asked for: the first that has every function above (ONNX Runtime 1.24). */
export const apiVersion = 24

/** One more than the highest index above. */
export const entryCount = 415

type Rows = typeof statusFunctions & typeof releaseFunctions

/** The JS arguments of a function, from its row. */
export type ArgumentsOf<Name extends keyof Rows> = Rows[Name] extends readonly [number, ...infer Kinds]
  ? { [I in keyof Kinds]: Kinds[I] extends ArgumentKind ? ArgumentTypes[Kinds[I]] : never }
  : never

export type StatusFunction = keyof typeof statusFunctions
export type ReleaseFunction = keyof typeof releaseFunctions
export type QueryFunction = keyof typeof queryFunctions
/** What a query answers. */
export type AnswerOf<Name extends QueryFunction> = ArgumentTypes[(typeof queryFunctions)[Name][1]]

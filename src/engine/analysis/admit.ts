import { lstatSync } from 'node:fs'
import { lstat, readFile } from 'node:fs/promises'
import path from 'node:path'

import { HastenError } from '../../errors.ts'
import { decodeModel } from '../onnx/decode.ts'
import { checkRange, findExternalFile, folderReader, type ExternalReference } from '../onnx/external-data.ts'
import { inferTypes } from '../ops/infer.ts'
import {
  admissionChecks,
  defaultAdmissionLimits,
  findingsOf,
  type AdmissionLimits,
  type Finding,
} from './admission-checks.ts'
import { describeModel, type ModelFacts } from './facts.ts'

export interface AdmissionReport {
  readonly facts: ModelFacts
  readonly findings: readonly Finding[]
}

/**
 * Looks at an untrusted model without loading it into the runtime. Meant to run in a memory-capped process: a file can
 * still be made to take a large multiple of its size while it is parsed.
 * @throws HastenError `model_invalid`, `model_unsafe`, `model_unsupported_op`; the detail names the node or tensor
 */
export async function admitFile(
  file: string,
  limits: AdmissionLimits = defaultAdmissionLimits,
): Promise<AdmissionReport> {
  const modelBytes = await checkModelFile(file, limits)
  const folder = path.dirname(file)
  const external = new Map<string, number>()
  const model = decodeModel(await readFile(file), {
    externalData: folderReader(folder),
    inspectExternal: (reference) => external.set(reference.location, checkExternal(folder, reference)),
  })
  const sizeBytes = [...external.values()].reduce((sum, size) => sum + size, modelBytes)
  refuseSize(sizeBytes, limits)
  const admission = { model, limits, types: inferTypes(model) }
  for (const check of Object.values(admissionChecks)) check(admission)
  return { facts: describeModel(model, sizeBytes, admission.types), findings: findingsOf(admission) }
}

async function checkModelFile(file: string, limits: AdmissionLimits): Promise<number> {
  const stats = await lstat(file)
  if (!stats.isFile()) throw new HastenError('model_unsafe', 'the model is not a regular file')
  if (stats.size === 0) throw new HastenError('model_invalid', 'the model file is empty')
  if (stats.size > 2 ** 31 - 1)
    throw new HastenError('model_invalid', 'an ONNX file over 2 GiB keeps its weights outside')
  refuseSize(stats.size, limits)
  return stats.size
}

function refuseSize(bytes: number, { maxBytes }: AdmissionLimits): void {
  if (bytes > maxBytes) throw new HastenError('model_unsafe', `the model has ${bytes} bytes, over ${maxBytes}`)
}

/**
 * The size of an external data file. Hard links are refused too: a link in an archive can name any file of the host,
 * and the runtime, which refuses symbolic links, follows them.
 */
function checkExternal(folder: string, reference: ExternalReference): number {
  const { nlink, size } = lstatSync(findExternalFile(folder, reference))
  if (nlink > 1) {
    const detail = `external data '${reference.location}' of tensor '${reference.tensor}' is a hard link`
    throw new HastenError('model_unsafe', detail)
  }
  checkRange(reference, size)
  return size
}

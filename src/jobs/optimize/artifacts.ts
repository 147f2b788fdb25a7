import { Readable } from 'node:stream'
import type { Static } from 'typebox'
import type { FileRef } from '../../storage/index.ts'
import { retryUnavailable } from '../retry-unavailable.ts'
import type { OptimizeContext } from './context.ts'
import { artifactName, type JobArtifactKind, type jobArtifacts } from './contract.ts'

type Reports = { readonly [K in JobArtifactKind]?: Static<(typeof jobArtifacts)[K]> }

/** Brings what a job found to the artifact store, as JSON; it becomes the job's own when the job ends. */
export async function keepArtifacts({ storage, signal }: OptimizeContext, reports: Reports): Promise<FileRef[]> {
  const files: FileRef[] = []
  for (const [kind, report] of Object.entries(reports)) {
    const bytes = Buffer.from(JSON.stringify(report))
    const write = async () => storage.artifacts.write(Readable.from([bytes]), { maxBytes: bytes.byteLength, signal })
    files.push({
      name: artifactName(kind as JobArtifactKind),
      ...(await retryUnavailable(write, { forMs: 60_000, signal })),
    })
  }
  return files
}

import { buffer } from 'node:stream/consumers'
import type { Static } from 'typebox'
import { Value } from 'typebox/value'
import { artifactKind, jobArtifacts, type JobArtifactKind } from '../../jobs/optimize/contract.ts'
import type { FileRef, Storage } from '../../storage/index.ts'

/** What a job found, by kind; a kind that the job has not, or has in the form of another version, is missing. */
export type JobFindings = { readonly [K in JobArtifactKind]?: Static<(typeof jobArtifacts)[K]> }

/** A job's explanations are cut at 20,000 nodes, so what is larger than this was not written by a worker of ours. */
const maxBytes = 2 ** 25

/** Reads one of a job's artifacts. */
export async function readArtifact<K extends JobArtifactKind>(
  { artifacts }: Pick<Storage, 'artifacts'>,
  files: readonly FileRef[],
  kind: K,
): Promise<JobFindings[K] | undefined> {
  const file = files.find(({ name }) => artifactKind(name) === kind)
  if (file === undefined || file.sizeBytes > maxBytes) return undefined
  const value: unknown = JSON.parse((await buffer(artifacts.read(file.sha256))).toString('utf8'))
  return Value.Check(jobArtifacts[kind], value) ? (value as JobFindings[K]) : undefined
}

/** All of them. */
export async function readFindings(
  storage: Pick<Storage, 'artifacts'>,
  files: readonly FileRef[],
): Promise<JobFindings> {
  const kinds = Object.keys(jobArtifacts) as JobArtifactKind[]
  const found = await Promise.all(kinds.map(async (kind) => [kind, await readArtifact(storage, files, kind)] as const))
  return Object.fromEntries(found.filter(([, value]) => value !== undefined))
}

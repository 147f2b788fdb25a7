import { HastenError } from '../../errors.ts'
import type { Transaction } from '../database.ts'
import type { FileRef } from '../rows.ts'

export type OwnerKind = 'model' | 'dataset' | 'job' | 'stage' | 'checkpoint'

export interface Owner {
  readonly kind: OwnerKind
  readonly id: string
  readonly project: string
}

/**
 * Keeps the blobs of these files alive from this transaction on. Locking and touching the blob rows makes a collector
 * that runs at the same time skip them. Throws not_found when one is not in the artifact store.
 */
export async function addReferences(tx: Transaction, owner: Owner, files: readonly FileRef[]): Promise<void> {
  const hashes = files.map(({ sha256 }) => sha256)
  const locked = await tx.$queryRaw<{ sha256: string; size_bytes: bigint }[]>`
    SELECT sha256, size_bytes FROM blobs WHERE sha256 = ANY(${hashes}) ORDER BY sha256 FOR UPDATE`
  const sizes = new Map(locked.map((blob) => [blob.sha256, blob.size_bytes]))
  const data = files.map(({ name, sha256 }, position) => {
    const sizeBytes = sizes.get(sha256)
    if (sizeBytes === undefined) throw new HastenError('not_found', `No stored content ${sha256} for ${name}`)
    return { ownerKind: owner.kind, ownerId: owner.id, project: owner.project, name, sha256, sizeBytes, position }
  })
  await touch(tx, hashes)
  await tx.blobReference.createMany({ data })
}

/** Lets go of an owner's files; their grace period starts now, for somebody may still be reading them. */
export async function dropReferences(tx: Transaction, kind: OwnerKind, id: string): Promise<void> {
  const where = { ownerKind: kind, ownerId: id }
  const held = await tx.blobReference.findMany({ where, select: { sha256: true }, orderBy: { sha256: 'asc' } })
  await touch(
    tx,
    held.map(({ sha256 }) => sha256),
  )
  await tx.blobReference.deleteMany({ where })
}

/** Files of each owner, in their order. */
export async function findFiles(
  tx: Transaction,
  kind: OwnerKind,
  ids: readonly string[],
): Promise<ReadonlyMap<string, readonly FileRef[]>> {
  const found = await tx.blobReference.findMany({
    where: { ownerKind: kind, ownerId: { in: [...ids] } },
    orderBy: { position: 'asc' },
  })
  const files = Map.groupBy(found, ({ ownerId }) => ownerId)
  return new Map(ids.map((id) => [id, (files.get(id) ?? []).map(toFile)]))
}

function toFile({ name, sha256, sizeBytes }: { name: string; sha256: string; sizeBytes: bigint }): FileRef {
  return { name, sha256, sizeBytes: Number(sizeBytes) }
}

async function touch(tx: Transaction, hashes: readonly string[]): Promise<void> {
  await tx.$executeRaw`UPDATE blobs SET touched_at = now() WHERE sha256 = ANY(${hashes})`
}

/** Bytes of all files. */
export function totalBytes(files: readonly FileRef[]): bigint {
  return files.reduce((total, { sizeBytes }) => total + BigInt(sizeBytes), 0n)
}

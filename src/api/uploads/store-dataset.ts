import { HastenError } from '../../errors.ts'
import type { ArtifactStore, FileRef } from '../../storage/index.ts'
import { freeRead } from './free-read.ts'
import { sniffUpload } from './sniff.ts'

const npyMagic = Buffer.from('\u0093NUMPY', 'latin1')

interface StoreOptions {
  readonly artifacts: ArtifactStore
  readonly maxBytes: number
  readonly signal: AbortSignal
}

/**
 * Streams an uploaded dataset into the artifact store under the name its bytes deserve.
 * @throws HastenError `dataset_invalid` for what is neither .npz nor .npy, `body_too_large`, `upload_aborted`
 */
export async function storeDataset(source: AsyncIterable<Uint8Array>, options: StoreOptions): Promise<FileRef> {
  const { artifacts, maxBytes, signal } = options
  const { kind, head, content } = await sniffUpload(source)
  const isNpy = head.subarray(0, npyMagic.length).equals(npyMagic)
  if (kind !== 'zip' && !isNpy) throw new HastenError('dataset_invalid', 'The file is neither an .npz nor an .npy.')
  const name = isNpy ? 'data.npy' : 'data.npz'
  return { name, ...(await artifacts.write(freeRead(content), { maxBytes, signal })) }
}

import { open } from 'node:fs/promises'
import { HastenError } from '../../errors.ts'
import { checkRange, findExternalFile, type ExternalReference } from './external-data.ts'
import { readRanges } from './file-io.ts'

/** Tensors that name the same bytes share them. */
export function rangeKey({ location, offset, length }: ExternalReference): string {
  return `${offset} ${length} ${location}`
}

/**
 * Reads what references name from the files of a folder, each range once, into `fetched` by `rangeKey`.
 * @throws HastenError `model_unsafe` for links and special files, `model_invalid` for missing or short files
 */
export async function readReferences(
  folder: string,
  references: readonly ExternalReference[],
  fetched: Map<string, Uint8Array>,
): Promise<void> {
  const files = Map.groupBy(references, ({ location }) => location)
  for (const within of files.values()) await readFileReferences(folder, within, fetched)
}

async function readFileReferences(
  folder: string,
  references: readonly ExternalReference[],
  fetched: Map<string, Uint8Array>,
): Promise<void> {
  const [first] = references
  if (first === undefined) return
  const file = await open(findExternalFile(folder, first))
  try {
    const { size } = await file.stat()
    for (const reference of references) checkRange(reference, size)
    const ranges = [...new Map(references.map((each) => [rangeKey(each), each])).values()].map((reference) => {
      const into = new Uint8Array(reference.length)
      fetched.set(rangeKey(reference), into)
      return { position: reference.offset, into }
    })
    if (!(await readRanges(file, ranges))) {
      throw new HastenError('model_invalid', `external data '${first.location}' ended early`)
    }
  } finally {
    await file.close()
  }
}

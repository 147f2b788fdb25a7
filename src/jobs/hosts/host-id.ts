import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { HastenError } from '../../errors.ts'
import { isId, newId } from '../../storage/index.ts'

/**
 * The id of this host, made once and kept in a file, so that jobs can be pinned to it across restarts.
 * @throws HastenError `config_invalid` when the file holds something else
 */
export async function readHostId(path: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true })
  const fresh = newId('hst')
  try {
    await writeFile(path, `${fresh}\n`, { flag: 'wx' })
    return fresh
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  const kept = (await readFile(path, 'utf8')).trim()
  if (!isId('hst', kept)) throw new HastenError('config_invalid', `${path} does not hold a host id; delete the file.`)
  return kept
}

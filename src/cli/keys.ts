import { readFile } from 'node:fs/promises'
import { dataPaths, type Config } from '../config.ts'
import { HastenError } from '../errors.ts'
import { openStorage, type Storage } from '../storage/index.ts'
import { formatTable } from './table.ts'

export interface NewKeyOptions {
  readonly name: string
  readonly project: string
  readonly scopes: readonly string[]
  readonly days?: number
}

/** Runs on the database itself, not through the API: the first key has to come from somewhere. */
async function withStorage<T>(config: Config, use: (storage: Storage) => Promise<T>): Promise<T> {
  const storage = await openStorage({ connectionString: await findDatabase(config), maxConnections: 1 })
  try {
    return await use(storage)
  } finally {
    await storage.close()
  }
}

async function findDatabase(config: Config): Promise<string> {
  const file = dataPaths(config.dataDir).databaseUrl
  const url = config.databaseUrl ?? (await readFile(file, 'utf8').catch(() => undefined))
  if (url !== undefined) return url.trim()
  const hint = 'Set DATABASE_URL, or start `hasten start` first: it leaves the address of its database there.'
  throw new HastenError('config_invalid', `no DATABASE_URL, and no ${file}`, { hint })
}

export async function createKey(config: Config, options: NewKeyOptions): Promise<string> {
  const expiresAt = options.days === undefined ? null : new Date(Date.now() + options.days * 86_400_000)
  return withStorage(config, async ({ keys }) => {
    const { secret } = await keys.create({ ...options, expiresAt })
    return secret
  })
}

export async function listKeys(config: Config, project: string): Promise<string> {
  const { rows } = await withStorage(config, async ({ keys }) => keys.list(project, { limit: 100 }))
  const lines = rows.map(({ id, name, prefix, scopes, expiresAt, lastUsedAt }) => [
    id,
    name,
    `${prefix}…`,
    scopes.join(','),
    expiresAt?.toISOString() ?? 'never',
    lastUsedAt?.toISOString() ?? 'never',
  ])
  return formatTable(['id', 'name', 'key', 'scopes', 'expires', 'last used'], lines)
}

export async function revokeKey(config: Config, project: string, id: string): Promise<void> {
  const removed = await withStorage(config, async ({ keys }) => keys.remove(project, id))
  if (!removed) throw new HastenError('not_found', `no key ${id} in project ${project}`)
}

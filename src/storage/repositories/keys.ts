import { createHash, randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Database } from '../database.ts'
import type { ApiKey } from '../generated/client.ts'
import { newId } from '../ids.ts'
import { pageQuery, toPage } from '../paging.ts'
import { omit, type Page, type Paging } from '../rows.ts'

export interface ApiKeyRow {
  readonly id: string
  readonly project: string
  readonly name: string
  /** First characters of the secret. */
  readonly prefix: string
  readonly scopes: readonly string[]
  readonly expiresAt: Date | null
  readonly lastUsedAt: Date | null
  readonly createdAt: Date
}

export interface Keys {
  /** `secret` (`hk_…`) is given once; only its sha256 is stored. */
  create(key: {
    project: string
    name: string
    scopes: readonly string[]
    expiresAt?: Date | null
  }): Promise<{ key: ApiKeyRow; secret: string }>
  /**
   * The key of a secret that exists and has not expired; notes the use, at most once a minute. A key is remembered for two
   * seconds: so long may one work that was removed by another process.
   */
  authenticate(secret: string): Promise<ApiKeyRow | undefined>
  find(project: string, id: string): Promise<ApiKeyRow | undefined>
  list(project: string, paging: Paging): Promise<Page<ApiKeyRow>>
  remove(project: string, id: string): Promise<boolean>
}

const secretBytes = 32
const prefixLength = 10
const useResolutionMs = 60_000
const rememberMs = 2_000

export function createKeys({ prisma }: Database): Keys {
  const recent = new LRUCache<string, ApiKey>({ max: 1000, ttl: rememberMs, noUpdateTTL: true })
  return {
    async create({ project, name, scopes, expiresAt = null }) {
      const secret = `hk_${randomBytes(secretBytes).toString('base64url')}`
      const prefix = secret.slice(0, prefixLength)
      const data = { id: newId('key'), project, name, hash: hashSecret(secret), prefix, scopes: [...scopes], expiresAt }
      return { key: toKeyRow(await prisma.apiKey.create({ data })), secret }
    },
    async authenticate(secret) {
      const hash = hashSecret(secret)
      const found = recent.get(hash) ?? (await prisma.apiKey.findUnique({ where: { hash } }))
      const now = Date.now()
      if (found === null || (found.expiresAt !== null && found.expiresAt.getTime() <= now)) return undefined
      const isNoted = now - (found.lastUsedAt?.getTime() ?? 0) < useResolutionMs
      if (!isNoted) noteUse(prisma, found.id, new Date(now))
      const key = isNoted ? found : { ...found, lastUsedAt: new Date(now) }
      recent.set(hash, key)
      return toKeyRow(key)
    },
    async find(project, id) {
      const key = await prisma.apiKey.findFirst({ where: { project, id } })
      return key === null ? undefined : toKeyRow(key)
    },
    async list(project, paging) {
      const { take, where, orderBy } = pageQuery('key', paging)
      const found = await prisma.apiKey.findMany({ where: { project, ...where }, orderBy, take })
      return toPage(found.map(toKeyRow), take)
    },
    async remove(project, id) {
      const { count } = await prisma.apiKey.deleteMany({ where: { project, id } })
      recent.clear()
      return count === 1
    },
  }
}

/**
 * Nobody waits for it: a commit waits for the disk, for seconds while an upload is written, and the request doesn't care.
 * What a failure loses is a time of day, and the next use writes it. updateMany, for the key may be revoked meanwhile.
 */
function noteUse(prisma: Database['prisma'], id: string, lastUsedAt: Date): void {
  prisma.apiKey.updateMany({ where: { id }, data: { lastUsedAt } }).catch(() => undefined)
}

// A secret has 256 random bits, so a plain hash cannot be turned back and needs no salt.
function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex')
}

function toKeyRow(key: ApiKey): ApiKeyRow {
  return omit(key, 'hash')
}

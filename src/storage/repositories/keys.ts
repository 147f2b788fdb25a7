import type { Page, Paging } from '../rows.ts'

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
  /** The key of a secret that exists and has not expired; notes the use, at most once a minute. */
  authenticate(secret: string): Promise<ApiKeyRow | undefined>
  find(project: string, id: string): Promise<ApiKeyRow | undefined>
  list(project: string, paging: Paging): Promise<Page<ApiKeyRow>>
  remove(project: string, id: string): Promise<boolean>
}

import type { Prisma } from './generated/client.ts'

/**
 * A value as a JSON column can hold it. Postgres refuses NUL and lone surrogates, which names from a hostile file may
 * have: they become U+FFFD.
 */
export function toJson(value: object): Prisma.InputJsonObject {
  return cleanJson(JSON.parse(JSON.stringify(value))) as Prisma.InputJsonObject
}

function cleanJson(value: unknown): unknown {
  if (typeof value === 'string') return cleanText(value)
  if (Array.isArray(value)) return value.map(cleanJson)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [cleanText(key), cleanJson(item)]))
}

function cleanText(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\uFFFD')
}

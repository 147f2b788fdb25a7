import { v7 } from 'uuid'

/** What each id prefix stands for; an id names its kind wherever it turns up. */
export const idPrefixes = {
  mdl: 'model',
  dst: 'dataset',
  rcp: 'recipe',
  job: 'job',
  dep: 'deployment',
  hst: 'host',
  key: 'API key',
  whk: 'webhook',
  dlv: 'webhook delivery',
  cnd: 'candidate',
  blb: 'blob',
  srv: 'serve process',
} as const

export type IdPrefix = keyof typeof idPrefixes

// Crockford's base32 in lower case: no i, l, o, u, and its order is that of ASCII, so ids sort by time as text.
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
const idLength = 26
const idBody = /^[0-7][0-9abcdefghjkmnpqrstvwxyz]{25}$/

/** `<prefix>_` and a UUIDv7 in 26 base32 characters; ids of one process sort in the order they were made. */
export function newId(prefix: IdPrefix): string {
  return `${prefix}_${encodeUuid(v7(undefined, new Uint8Array(16)))}`
}

/** Whether a text has the form of an id of that kind. */
export function isId(prefix: IdPrefix, text: string): boolean {
  return text.startsWith(`${prefix}_`) && idBody.test(text.slice(prefix.length + 1))
}

function encodeUuid(bytes: Uint8Array): string {
  let rest = bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n)
  let text = ''
  for (let i = 0; i < idLength; i += 1) {
    text = alphabet.charAt(Number(rest & 31n)) + text
    rest >>= 5n
  }
  return text
}

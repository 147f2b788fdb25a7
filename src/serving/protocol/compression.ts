import { promisify } from 'node:util'
import { deflate, gzip } from 'node:zlib'

const compressors = { gzip: promisify(gzip), deflate: promisify(deflate) } as const

export type ReplyEncoding = keyof typeof compressors

/** Tensors hardly shrink by more work, and the client waits for it. */
const level = 1

/**
 * The coding that a client asks for. Lists of several, which HTTP libraries send unasked, ask for none: compressing
 * takes longer than most networks need for what it saves.
 */
export function replyEncodingOf(acceptEncoding: string | string[] | undefined): ReplyEncoding | undefined {
  return acceptEncoding === 'gzip' || acceptEncoding === 'deflate' ? acceptEncoding : undefined
}

/** Compresses a reply off the event loop. */
export async function compressReply(body: Buffer, encoding: ReplyEncoding): Promise<Buffer> {
  return compressors[encoding](body, { level })
}

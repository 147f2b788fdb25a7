import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import yazl from 'yazl'
import { HastenError } from '../errors.ts'
import type { ArtifactStore, FileRef } from '../storage/index.ts'

/** Sends one stored file, whole or the range asked for. Its hash is its entity tag, so caches and resumes are exact. */
export function sendFile(
  request: FastifyRequest,
  reply: FastifyReply,
  artifacts: ArtifactStore,
  file: FileRef,
  downloadName: string,
): FastifyReply {
  const etag = `"${file.sha256}"`
  reply.header('etag', etag).header('accept-ranges', 'bytes').header('cache-control', 'private, no-cache')
  if (request.headers['if-none-match'] === etag) return reply.code(304).send()
  const range = readRange(request, etag, file.sizeBytes)
  if (range === 'unsatisfiable') {
    reply.header('content-range', `bytes */${file.sizeBytes}`)
    throw new HastenError('range_not_satisfiable', `The file has ${file.sizeBytes} bytes.`)
  }
  describeDownload(reply, downloadName)
  if (range === undefined) {
    reply.header('content-length', file.sizeBytes)
    return reply.send(Readable.from(artifacts.read(file.sha256), { objectMode: false }))
  }
  const { start, end } = range
  reply.code(206).header('content-range', `bytes ${start}-${end}/${file.sizeBytes}`)
  reply.header('content-length', end - start + 1)
  return reply.send(Readable.from(artifacts.read(file.sha256, range), { objectMode: false }))
}

/** Sends several stored files as a .zip made on the way; stored, not deflated: weights hardly shrink. */
export function sendZip(
  reply: FastifyReply,
  artifacts: ArtifactStore,
  files: readonly FileRef[],
  downloadName: string,
): FastifyReply {
  const zip = new yazl.ZipFile()
  const output = zip.outputStream as Readable
  const fail = (error: Error) => output.destroy(error)
  zip.on('error', fail)
  for (const { name, sha256, sizeBytes } of files) {
    zip.addReadStreamLazy(name, { compress: false, size: sizeBytes }, (open) => {
      const content = Readable.from(artifacts.read(sha256), { objectMode: false })
      content.on('error', fail)
      open(null, content)
    })
  }
  zip.end()
  describeDownload(reply, downloadName)
  return reply.type('application/zip').send(output)
}

function describeDownload(reply: FastifyReply, name: string): void {
  // Names of resources are plain ASCII by their pattern; anything else would be a header injection.
  const safe = name.replaceAll(/[^a-zA-Z0-9._-]/g, '_')
  reply.type('application/octet-stream').header('content-disposition', `attachment; filename="${safe}"`)
}

interface ByteRange {
  readonly start: number
  readonly end: number
}

/** One byte range of RFC 9110; undefined for none, several, an invalid one, or an If-Range that no longer holds. */
function readRange(request: FastifyRequest, etag: string, size: number): ByteRange | 'unsatisfiable' | undefined {
  const { range, 'if-range': ifRange } = request.headers
  if (range === undefined || (ifRange !== undefined && ifRange !== etag)) return undefined
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(range.trim()) ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined
  if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1)
  return start < size ? { start, end } : 'unsatisfiable'
}

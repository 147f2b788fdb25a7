import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { deflateSync, gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import {
  freeBody,
  inflateBody,
  readBody,
  readBodyHeaders,
  type BodyHeaders,
} from '../../../src/serving/protocol/body.ts'

/** The body of a request, in the pieces a socket might give. */
const stream = (...chunks: Uint8Array[]) => Readable.from(chunks, { objectMode: false }) as unknown as IncomingMessage
const sized = (length: number, jsonLength?: number): BodyHeaders => ({ length, jsonLength, encoding: undefined })

describe('a body', () => {
  test.each([1, 15, 16, 17, 93])('has its tail aligned after %i bytes of JSON', async (jsonLength) => {
    // Small bodies have their memory from a pool, large ones their own.
    for (const tailLength of [40, 4000]) {
      const bytes = Buffer.from(Array.from({ length: jsonLength + tailLength }, (_, index) => index))
      const parts = [bytes.subarray(0, 7), bytes.subarray(7)]
      const body = await readBody(stream(...parts), sized(bytes.length, jsonLength), 5000)
      expect(body.equals(bytes)).toBe(true)
      expect((body.byteOffset + jsonLength) % 16).toBe(0)
    }
  })

  test('of unknown length is joined, up to the limit', async () => {
    const chunked: BodyHeaders = { length: undefined, jsonLength: undefined, encoding: undefined }
    const parts = [Buffer.from('ab'), Buffer.from('cd')]
    expect((await readBody(stream(...parts), chunked, 4)).toString()).toBe('abcd')
    await expect(readBody(stream(...parts), chunked, 3)).rejects.toMatchObject({ code: 'body_too_large' })
  })

  test('that breaks off is an error', async () => {
    const broken = new Readable({ read() {} })
    const reading = readBody(broken as unknown as IncomingMessage, sized(10), 100)
    broken.push(Buffer.from('abc'))
    broken.destroy(new Error('aborted'))
    await expect(reading).rejects.toMatchObject({ code: 'upload_aborted' })
  })
})

describe('memory', () => {
  test('of what the socket gave and of a body is given back at once', async () => {
    const chunk = Buffer.from(new Uint8Array(4096).fill(7).buffer)
    const body = await readBody(stream(chunk), sized(4096, 3), 5000)
    expect([chunk.length, body.length, body[4095]]).toEqual([0, 4096, 7])
    freeBody(body)
    expect([body.length, body.buffer.byteLength]).toEqual([0, 0])
    expect(() => freeBody(body)).not.toThrow()
  })

  test('that others share is left alone', () => {
    const shared = new Uint8Array(1024)
    freeBody(shared.subarray(0, 512))
    freeBody(shared.subarray(0, 0))
    expect(shared.length).toBe(1024)
  })
})

describe('compression', () => {
  const plain = Buffer.alloc(5000, 'x')

  test('is undone for gzip and deflate', async () => {
    expect(await inflateBody(gzipSync(plain), 'gzip', 5000)).toEqual(plain)
    expect(await inflateBody(deflateSync(plain), 'deflate', 5000)).toEqual(plain)
    expect(await inflateBody(plain, undefined, 5000)).toBe(plain)
  })

  test('cannot grow past the limit, and must be what it says', async () => {
    await expect(inflateBody(gzipSync(plain), 'gzip', 4999)).rejects.toMatchObject({ code: 'body_too_large' })
    await expect(inflateBody(gzipSync(plain).subarray(0, 20), 'gzip', 5000)).rejects.toMatchObject({
      code: 'invalid_request',
    })
    await expect(inflateBody(plain, 'deflate', 5000)).rejects.toMatchObject({ code: 'invalid_request' })
  })
})

test.each([
  [{ 'content-length': '101' }, 'body_too_large'],
  [{ 'inference-header-content-length': '0x10' }, 'invalid_request'],
  [{ 'inference-header-content-length': '99999999999999999999' }, 'invalid_request'],
  [{ 'content-encoding': 'br' }, 'unsupported_media_type'],
])('headers %j are refused: %s', (headers, code) => {
  expect(() => readBodyHeaders(headers, 100)).toThrow(expect.objectContaining({ code }))
})

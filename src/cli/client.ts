import { openAsBlob } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import { dataPaths, type Config } from '../config.ts'
import { errorTable, HastenError, messageOf, type ErrorCode, type ErrorItem } from '../errors.ts'

export interface Client {
  readonly baseUrl: string
  get<T>(path: string): Promise<T>
  post<T>(path: string, body: unknown, headers?: Record<string, string>): Promise<T>
  /** Streams a file from disk; the server hashes and stores it as it arrives. */
  upload<T>(path: string, file: string, fields: Record<string, string>): Promise<T>
  /** The body of any path as it is, with the key sent along. */
  fetch(path: string, init?: RequestInit): Promise<Response>
  /** Server-sent events of a path until the server ends the stream. */
  events(path: string): AsyncIterable<{ id: string | undefined; type: string; data: unknown }>
}

const busyTries = 6

/** Turned away before anything was done, and told when to come back. */
function isBusy({ status, headers }: Response): boolean {
  return (status === 503 || status === 429) && headers.has('retry-after')
}

interface Problem {
  readonly code?: string
  readonly detail?: string
  readonly title?: string
  readonly hint?: string
  readonly errors?: readonly ErrorItem[]
}

/** A client of the HTTP API: where HASTEN_URL says, with HASTEN_KEY or the key `hasten start` left on this machine. */
export async function createClient(config: Config): Promise<Client> {
  const baseUrl = config.apiUrl ?? `http://127.0.0.1:${config.port}`
  const key = config.apiKey ?? (await readLocalKey(config))
  const authorization: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${key}` }

  const request = async (target: string, init: RequestInit): Promise<Response> =>
    fetch(new URL(target, baseUrl), {
      ...init,
      headers: { ...authorization, ...(init.headers as Record<string, string> | undefined) },
    }).catch((error: unknown) => {
      throw unreachable(baseUrl, error)
    })
  const send = async (target: string, init: RequestInit = {}): Promise<Response> => {
    let response = await request(target, init)
    for (let tries = 1; isBusy(response) && tries < busyTries; tries += 1) {
      await delay(Number(response.headers.get('retry-after')) * 1000)
      response = await request(target, init)
    }
    if (response.ok) return response
    throw await readProblem(response)
  }
  const json = async <T>(response: Response) => (await response.json()) as T

  return {
    baseUrl,
    fetch: send,
    get: async (target) => json(await send(target)),
    post: async (target, body, headers = {}) =>
      json(
        await send(target, {
          method: 'POST',
          body: JSON.stringify(body),
          headers: { 'content-type': 'application/json', ...headers },
        }),
      ),
    upload: async (target, file, fields) => {
      const form = new FormData()
      for (const [name, value] of Object.entries(fields)) form.set(name, value)
      form.set('file', await openFile(file), path.basename(file))
      return json(await send(target, { method: 'POST', body: form }))
    },
    async *events(target) {
      const response = await send(target, { headers: { accept: 'text/event-stream' } })
      if (response.body === null) return
      const stream = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())
      for await (const { id, event, data } of stream) {
        yield { id, type: event ?? 'message', data: (JSON.parse(data) as { data: unknown }).data }
      }
    },
  }
}

async function readLocalKey(config: Config): Promise<string | undefined> {
  const text = await readFile(dataPaths(config.dataDir).adminKey, 'utf8').catch(() => undefined)
  return text?.trim()
}

async function openFile(file: string): Promise<Blob> {
  const found = await stat(file).catch(() => undefined)
  if (found?.isFile() !== true) throw new HastenError('not_found', `no file ${file}`, { hint: 'Check the path.' })
  return openAsBlob(file)
}

function unreachable(baseUrl: string, cause: unknown): HastenError {
  const reason = cause instanceof Error && cause.cause !== undefined ? messageOf(cause.cause) : messageOf(cause)
  const hint = 'Start one with `hasten start`, or set HASTEN_URL.'
  return new HastenError('unavailable', `no Hasten API at ${baseUrl} (${reason})`, { cause, hint })
}

async function readProblem(response: Response): Promise<HastenError> {
  const text = await response.text()
  const problem = parseProblem(text)
  const code = problem.code !== undefined && problem.code in errorTable ? (problem.code as ErrorCode) : 'internal'
  const detail = problem.detail ?? problem.title ?? `HTTP ${response.status}: ${text.slice(0, 200)}`
  const hint = problem.hint === undefined ? {} : { hint: problem.hint }
  return new HastenError(code, detail, { errors: problem.errors ?? [], ...hint })
}

function parseProblem(text: string): Problem {
  try {
    return JSON.parse(text) as Problem
  } catch {
    return {}
  }
}

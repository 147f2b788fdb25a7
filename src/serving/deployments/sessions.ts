import { HastenError } from '../../errors.ts'
import type { ArtifactCache, ModelRow } from '../../storage/index.ts'
import type { Runtime, Session, SessionOptions } from '../../engine/serving.ts'

/** A session that others may use too. */
export interface SharedSession {
  readonly session: Session
  /** Nobody else gets this session any more. */
  readonly distrust: () => void
  /** Once; resolves when its memory has been freed, if nobody else uses it. */
  release(): Promise<void>
}

interface AcquireTerms {
  readonly signal: AbortSignal
  /** Goes around the part of a load that is in native code. */
  readonly around: <T>(work: () => Promise<T>) => Promise<T>
}

/** The sessions of a process: versions of the same files and options share one, and so its weights. */
export interface SessionPool {
  /** @throws HastenError of the cache and the runtime, `model_out_of_memory` */
  acquire(model: ModelRow, options: SessionOptions, terms: AcquireTerms): Promise<SharedSession>
  /** Bytes of the model files that are loaded, being loaded, or not freed yet. */
  bytes(): number
}

interface SessionPoolDeps {
  readonly cache: ArtifactCache
  readonly runtime: Runtime
  /** Called before `bytes` more are loaded, which are counted already. */
  readonly makeRoom: (bytes: number) => Promise<void>
}

interface Shared {
  readonly key: string
  readonly opened: Promise<Opened>
  readonly abort: AbortController
  users: number
}

interface Opened {
  readonly session: Session
  close(): Promise<void>
}

export function createSessionPool(deps: SessionPoolDeps): SessionPool {
  const pool = new Map<string, Shared>()
  let bytes = 0

  function open(key: string, model: ModelRow, options: SessionOptions, around: AcquireTerms['around']): Shared {
    const abort = new AbortController()
    const free = () => void (bytes -= model.sizeBytes)
    bytes += model.sizeBytes
    const terms = { signal: abort.signal, around }
    const opened = openSession(deps, model, options, terms, free)
    const shared = { key, opened, abort, users: 0 }
    pool.set(key, shared)
    opened.catch(() => {
      free()
      forget(shared)
    })
    return shared
  }
  function forget(shared: Shared): void {
    if (pool.get(shared.key) === shared) pool.delete(shared.key)
  }
  async function leave(shared: Shared): Promise<void> {
    shared.users--
    if (shared.users > 0) return
    forget(shared)
    shared.abort.abort()
    await shared.opened.then(async (opened) => opened.close()).catch(() => {})
  }

  return {
    bytes: () => bytes,
    async acquire(model, options, { signal, around }) {
      const key = keyOf(model, options)
      const shared = pool.get(key) ?? open(key, model, options, around)
      shared.users++
      try {
        const { session } = await unlessAborted(shared.opened, signal)
        return { session, distrust: () => forget(shared), release: () => leave(shared) }
      } catch (error) {
        void leave(shared)
        throw error
      }
    },
  }
}

async function openSession(
  { cache, runtime, makeRoom }: SessionPoolDeps,
  model: ModelRow,
  session: SessionOptions,
  { signal, around }: AcquireTerms,
  freed: () => void,
): Promise<Opened> {
  await makeRoom(model.sizeBytes)
  const files = await cache.materialize(model.files, { signal })
  try {
    const path = files.path(modelFile(model))
    const opened = await around(() => runtime.createSession({ path }, { session, signal }))
    return {
      session: opened,
      async close() {
        await opened.release()
        files.release()
        freed()
      },
    }
  } catch (error) {
    files.release()
    throw error
  }
}

function modelFile({ id, files, sha256 }: ModelRow): string {
  const file = files.find((each) => each.sha256 === sha256)
  if (file === undefined) throw new HastenError('storage_corrupt', `model ${id} has no file with its own hash`)
  return file.name
}

function keyOf(model: ModelRow, options: SessionOptions): string {
  const files = model.files.map(({ name, sha256 }) => `${name} ${sha256}`).toSorted()
  const settings = Object.entries(options).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify([model.sha256, files, settings])
}

/** One that waits may stop waiting; the load goes on for the others. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => reject(new HastenError('run_canceled', 'the load was given up'))
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

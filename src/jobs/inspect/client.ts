import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { HastenError } from '../../errors.ts'
import { createLimiter } from '../limiter.ts'
import { runCapped } from '../run-capped.ts'
import type {
  CapturedInspection,
  CascadeInspection,
  DatasetInspection,
  GraphInspection,
  Inspect,
  InspectSubject,
  LayersInspection,
  ModelInspection,
  StoredFile,
} from './contract.ts'

export interface InspectOptions {
  /** Module the child runs: `roles/inspect-child`. */
  readonly entry: string
  readonly connectionString: string
  /** Where a child may put files; each gets a folder of its own, removed when it has ended. */
  readonly workDir: string
  /** Memory of one inspection besides the file itself. */
  readonly memoryBytes: number
  readonly timeoutMs?: number
  /** Inspections at once. */
  readonly concurrency?: number
  /** Whole environment of the child. */
  readonly env?: Readonly<Record<string, string>>
}

/** What an inspection child is asked. */
export interface InspectRequest {
  readonly subject: InspectSubject
  readonly connectionString: string
  readonly workDir: string
}

/** Inspections in forked, memory-capped children: a hostile upload can end only its own. */
export function createInspect(options: InspectOptions): Inspect {
  const limit = createLimiter(options.concurrency ?? 2)
  const inspect = async (subject: InspectSubject, files: readonly StoredFile[]) =>
    limit(async () => inspectIn(options, subject, files))
  return {
    async model(files) {
      return (await inspect({ kind: 'model', files: [...files] }, files)) as ModelInspection
    },
    async graph(files) {
      return (await inspect({ kind: 'graph', files: [...files] }, files)) as GraphInspection
    },
    async layers(files, batch, ran) {
      const subject = { kind: 'layers' as const, files: [...files], batch, ran: [...ran] }
      return (await inspect(subject, files)) as LayersInspection
    },
    async dataset(file, label) {
      const subject = { kind: 'dataset' as const, file, ...(label === undefined ? {} : { label }) }
      return (await inspect(subject, [file])) as DatasetInspection
    },
    async cascade(subject) {
      return (await inspect({ ...subject, kind: 'cascade' }, [subject.file])) as CascadeInspection
    },
    async captured(deployment) {
      return (await inspect({ kind: 'captured', deployment }, [])) as CapturedInspection
    },
  }
}

async function inspectIn(options: InspectOptions, subject: InspectSubject, files: readonly StoredFile[]) {
  const { entry, connectionString, timeoutMs = 300_000, env = {} } = options
  await mkdir(options.workDir, { recursive: true })
  const workDir = await mkdtemp(join(options.workDir, 'inspect-'))
  const fileBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0)
  try {
    const request: InspectRequest = { subject, connectionString, workDir }
    return await runCapped({ entry, request, memoryBytes: options.memoryBytes + fileBytes, timeoutMs, env })
  } catch (error) {
    throw isLate(error) ? tooSlow(timeoutMs, error) : error
  } finally {
    await rm(workDir, { recursive: true, force: true })
  }
}

function isLate(error: unknown): boolean {
  return error instanceof HastenError && error.code === 'run_deadline'
}

function tooSlow(timeoutMs: number, cause: unknown): HastenError {
  return new HastenError('unavailable', `Looking at the file took longer than ${timeoutMs / 1000} s.`, {
    cause,
    hint: 'Try again when the server is less busy; a file that always takes so long is not accepted.',
  })
}

import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { HastenError } from '../../errors.ts'
import { isAlive, startTime } from './processes.ts'

interface Owner {
  readonly pid: number
  readonly startTime: string | undefined
}

/**
 * Makes this process the only one that runs Postgres in the directory. The lock of a process that died is taken over.
 * Returns the release. Throws config_invalid while its owner lives.
 */
export function lockDirectory(dir: string): () => void {
  const file = path.join(dir, 'owner.lock')
  const mine = JSON.stringify({ pid: process.pid, startTime: startTime(process.pid) } satisfies Owner)
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, mine)
  try {
    while (!linkExclusive(draft, file)) removeStale(file, dir)
  } finally {
    rmSync(draft, { force: true })
  }
  return () => {
    if (readIfThere(file) === mine) rmSync(file, { force: true })
  }
}

// A link appears whole and only once, so nobody ever reads a half-written lock.
function linkExclusive(draft: string, file: string): boolean {
  try {
    linkSync(draft, file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

function removeStale(file: string, dir: string): void {
  const text = readIfThere(file)
  if (text === undefined) return
  const owner = parseOwner(text)
  if (owner !== undefined && isOwnerAlive(owner)) {
    throw new HastenError('config_invalid', `Process ${owner.pid} already runs Postgres in ${dir}`, {
      hint: 'Stop that process, set HASTEN_DATA_DIR to another directory, or set DATABASE_URL.',
    })
  }
  // Two processes may find the same dead owner: whoever moved a lock that is not the one it judged puts it back.
  const aside = `${file}.stale-${process.pid}`
  try {
    renameSync(file, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  if (readIfThere(aside) !== text) linkExclusive(aside, file)
  rmSync(aside, { force: true })
}

function isOwnerAlive(owner: Owner): boolean {
  return isAlive(owner.pid) && startTime(owner.pid) === owner.startTime
}

function parseOwner(text: string): Owner | undefined {
  try {
    return JSON.parse(text) as Owner
  } catch {
    return undefined
  }
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

import { closeSync, openSync, readFileSync, renameSync, unlinkSync, writeFileSync, writeSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { Type } from 'typebox'
import { Check } from 'typebox/value'
import { HastenError } from '../../errors.ts'
import { isAlive, processIdentity } from './process-identity.ts'
import { createTurns } from './turns.ts'

/** Says on disk that a version is in native code, so that the next process knows what ran when this one died. */
export interface RunMarker {
  enter(): void
  leave(): void
  /** Runs of versions that are suspected go one at a time, so that a second crash has one culprit; others need no turn. */
  turn(): Promise<() => void> | undefined
  close(): void
}

/** Remembers which versions ran when a process on this host died. */
export interface CrashGuard {
  /** @throws HastenError `model_crashed` when it ran at two deaths in a row */
  check(deployment: string, version: number): void
  /** Whether any version is refused; cheap enough to be asked often. */
  refusesAny(): boolean
  mark(deployment: string, version: number): RunMarker
  /** Gives the versions of a deployment another chance. */
  forget(deployment: string): void
  /** This process ends as it should. */
  close(): void
}

const deathsAllowed = 1
/** What happened longer ago has nothing to do with it. */
const memoryMs = 86_400_000
/** A suspect that has run so long without a crash runs as any other. */
const probationMs = 600_000
const recordBytes = 128
const prefix = 'running-'
const running = Buffer.from('R')
const resting = Buffer.from(' ')

const deathsSchema = Type.Record(Type.String(), Type.Object({ count: Type.Integer(), at: Type.Number() }))
type Deaths = Record<string, { count: number; at: number }>

const keyOf = (deployment: string, version: number) => `${deployment}/${version}`

/** Opens the record of this host, and counts the deaths since it was last opened. `dir` may be shared by processes. */
export async function openCrashGuard(dir: string): Promise<CrashGuard> {
  await mkdir(dir, { recursive: true })
  const file = path.join(dir, 'deaths.json')
  await countDeaths(dir, file)
  const board = openBoard(path.join(dir, `${prefix}${processIdentity(process.pid)}`))
  const openedAt = performance.now()
  const turns = createTurns()
  return {
    check(deployment, version) {
      // Read each time: other processes of this host count too.
      const count = readDeaths(file)[keyOf(deployment, version)]?.count ?? 0
      if (count <= deathsAllowed) return
      const detail = `the server died ${count} times in a row while version ${version} was running`
      throw new HastenError('model_crashed', detail)
    },
    refusesAny: () => Object.values(readDeaths(file)).some(({ count }) => count > deathsAllowed),
    mark(deployment, version) {
      const key = keyOf(deployment, version)
      const wasThere = key in readDeaths(file)
      const isSuspect = () => wasThere && performance.now() - openedAt < probationMs
      return { ...board.add(key), turn: () => (isSuspect() ? turns.take() : undefined) }
    },
    forget(deployment) {
      const deaths = Object.entries(readDeaths(file))
      const others = deaths.filter(([key]) => !key.startsWith(`${deployment}/`))
      if (others.length < deaths.length) writeDeaths(file, Object.fromEntries(others))
    },
    close: () => board.close(),
  }
}

/** A version that did not run at the last death was not to blame for the one before; one that is refused stays so. */
async function countDeaths(dir: string, file: string): Promise<void> {
  const ran = new Set<string>()
  for (const name of await readdir(dir)) {
    if (!name.startsWith(prefix) || !isLeft(name.slice(prefix.length))) continue
    for (const key of runningKeys(await takeOver(dir, name))) ran.add(key)
  }
  // Nothing ran: whoever killed it did not mean a model.
  if (ran.size === 0) return
  const before = readDeaths(file)
  const kept = Object.entries(before).filter(([key, { count }]) => count > deathsAllowed && !ran.has(key))
  const now = Date.now()
  const counted = [...ran].map((key) => [key, { count: (before[key]?.count ?? 0) + 1, at: now }] as const)
  writeDeaths(file, Object.fromEntries([...kept, ...counted]))
}

/** Where no start time is known, a board with our own number is our predecessor's. */
function isLeft(identity: string): boolean {
  return identity === processIdentity(process.pid) || !isAlive(identity)
}

/** Reads a board and removes it, so that its death is counted once; empty when another process was first. */
async function takeOver(dir: string, name: string): Promise<string> {
  const mine = path.join(dir, `taken-${process.pid}-${name}`)
  try {
    await rename(path.join(dir, name), mine)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
  const board = await readFile(mine, 'utf8')
  await rm(mine)
  return board
}

function runningKeys(board: string): string[] {
  return board.split('\n').flatMap((line) => (line.startsWith('R') ? [line.slice(1).trim()] : []))
}

function readDeaths(file: string): Deaths {
  try {
    const read = JSON.parse(readFileSync(file, 'utf8')) as unknown
    if (!Check(deathsSchema, read)) return {}
    return Object.fromEntries(Object.entries(read).filter(([, { at }]) => Date.now() - at < memoryMs))
  } catch {
    // None yet, or a file that broke with its disk.
    return {}
  }
}

function writeDeaths(file: string, deaths: Deaths): void {
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, JSON.stringify(deaths))
  renameSync(draft, file)
}

/**
 * One line for each version, whose first byte says whether it runs. Writing a byte to the page cache takes about a
 * microsecond, and what is there outlives the process.
 */
function openBoard(file: string) {
  const board = openSync(file, 'w')
  const free: number[] = []
  let lines = 0
  let isOpen = true
  const write = (bytes: Buffer, line: number) => {
    // A run that hangs may outlive the board of a process that ends.
    if (isOpen) writeSync(board, bytes, 0, bytes.length, line * recordBytes)
  }
  return {
    add(key: string): Pick<RunMarker, 'enter' | 'leave' | 'close'> {
      const line = free.pop() ?? lines++
      write(Buffer.from(`${` ${key}`.padEnd(recordBytes - 1)}\n`), line)
      let inside = 0
      return {
        enter: () => void (inside++ === 0 && write(running, line)),
        leave: () => void (--inside === 0 && write(resting, line)),
        close: () => void free.push(line),
      }
    },
    close() {
      isOpen = false
      closeSync(board)
      unlinkSync(file)
    },
  }
}

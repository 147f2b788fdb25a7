import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { platform, setPriority } from 'node:os'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { HastenError } from '../errors.ts'
import { residentMemory } from './process-memory.ts'

const mebibyte = 1024 * 1024
const tailBytes = 8 * 1024
/** Nice value of children: between normal and idle. */
const lowPriority = 10

export interface ChildSpec {
  /** Absolute path of the module to run. */
  readonly entry: string
  /** Resident memory of the child and its own children above which it is ended. */
  readonly memoryBytes: number
  readonly memoryPollMs?: number
  /** Logical CPUs it may run on; needs `taskset`, the absolute path of that command. */
  readonly cpus?: readonly number[] | undefined
  readonly taskset?: string | undefined
  /** Its whole environment. */
  readonly env?: Readonly<Record<string, string>>
  /** Gets what the child writes to its standard streams. */
  readonly onOutput?: (text: string) => void
  readonly onMessage: (message: unknown) => void
}

/** How a child ended. */
export interface ChildEnd {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** It was ended for holding more memory than allowed. */
  readonly overMemory: boolean
  /** The last it wrote to its standard streams. */
  readonly outputTail: string
}

export interface CappedChild {
  readonly pid: number
  readonly ended: Promise<ChildEnd>
  send(message: object): void
  /** SIGTERM, then SIGKILL for it and its own children when it hasn't ended in time. */
  stop(graceMs: number): void
  /** SIGKILL for it and its own children. */
  kill(): void
}

/** Path of a module beside the importing one, in source (`.ts`) as in the build (`.js`). */
export function childEntry(importer: string, relative: string): string {
  return fileURLToPath(new URL(`${relative}${extname(new URL(importer).pathname)}`, importer))
}

/**
 * Starts a Node process with limits. On Linux the kernel limits its private writable memory (RLIMIT_DATA, which
 * leaves out the address space V8 and WebAssembly only reserve), so one huge allocation fails at once; everywhere a
 * watch ends it when its resident memory passes the limit.
 * @throws HastenError `unavailable` when the process can't be started
 */
export function spawnCapped(spec: ChildSpec): CappedChild {
  const [command, ...args] = commandOf(spec)
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...spec.env },
    // Its own process group: a terminal's Ctrl-C reaches only the parent, and a kill reaches its children too.
    detached: true,
    serialization: 'advanced',
  })
  const { pid } = child
  // Reports also that a child has just ended when it is killed or told something; its end is told by `ended`.
  child.on('error', () => undefined)
  if (pid === undefined) throw new HastenError('unavailable', `The process could not be started: ${command}`)
  yieldToOthers(pid)
  let overMemory = false
  const kill = () => killGroup(child, pid)
  const stopWatch = watchMemory(pid, spec, () => {
    overMemory = true
    kill()
  })
  const tail = keepTail(child, spec.onOutput)
  child.on('message', spec.onMessage)
  // Its own children must not outlive it, nor hold its standard streams open.
  child.once('exit', kill)
  const ended = endOf(child, (code, signal) => {
    stopWatch()
    return { code, signal, overMemory, outputTail: tail() }
  })
  return {
    pid,
    ended,
    send: (message) => sendTo(child, message),
    stop: (graceMs) => stopIn(child, graceMs, kill),
    kill,
  }
}

/**
 * Whoever answers requests on the same host comes first; on a host of its own this changes nothing. Linux may weigh whole
 * sessions against each other, and a detached child has its own (sched(7), "The autogroup feature").
 */
function yieldToOthers(pid: number): void {
  try {
    setPriority(pid, lowPriority)
    const autogroup = `/proc/${pid}/autogroup`
    if (existsSync(autogroup)) writeFileSync(autogroup, String(lowPriority))
  } catch {
    // It has ended already, or this kernel doesn't let us: then it competes as before.
  }
}

function commandOf({ entry, memoryBytes, cpus, taskset }: ChildSpec): [string, ...string[]] {
  // Weights live outside V8's heap, in buffers, so half of the memory is plenty for objects.
  const heapMib = Math.max(64, Math.min(4096, Math.floor(memoryBytes / 2 / mebibyte)))
  const node = [process.execPath, `--max-old-space-size=${heapMib}`, entry]
  const pinned = taskset === undefined || cpus === undefined ? node : [taskset, '-c', cpus.join(','), ...node]
  if (platform() !== 'linux') return pinned as [string, ...string[]]
  // The half gibibyte V8 maps for code and the thread stacks count as data too, used or not. The resident watch is the
  // exact limit; this one stops leaps.
  const dataKib = Math.ceil((memoryBytes + 1024 * mebibyte) / 1024)
  return ['/bin/sh', '-c', 'ulimit -d "$1" && shift && exec "$@"', 'sh', String(dataKib), ...pinned]
}

function watchMemory(pid: number, { memoryBytes, memoryPollMs = 250 }: ChildSpec, onOver: () => void): () => void {
  let checking = false
  const timer = setInterval(() => {
    if (checking) return
    checking = true
    void residentMemory(pid)
      .then((bytes) => {
        if (bytes > memoryBytes) onOver()
      })
      .finally(() => {
        checking = false
      })
  }, memoryPollMs)
  return () => clearInterval(timer)
}

function keepTail(child: ChildProcess, onOutput?: (text: string) => void): () => string {
  let tail = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      tail = (tail + text).slice(-tailBytes)
      onOutput?.(text)
    })
  }
  return () => tail
}

async function endOf(
  child: ChildProcess,
  finish: (code: number | null, signal: NodeJS.Signals | null) => ChildEnd,
): Promise<ChildEnd> {
  return new Promise((resolve) => {
    child.once('close', (code, signal) => resolve(finish(code, signal)))
  })
}

function sendTo(child: ChildProcess, message: object): void {
  if (child.connected) child.send(message, () => undefined)
}

function stopIn(child: ChildProcess, graceMs: number, kill: () => void): void {
  child.kill('SIGTERM')
  const timer = setTimeout(kill, graceMs)
  child.once('exit', () => clearTimeout(timer))
}

function killGroup(child: ChildProcess, pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    child.kill('SIGKILL')
  }
}

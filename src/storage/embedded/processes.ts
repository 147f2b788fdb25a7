import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** Whether a process of that id runs, whoever owns it. A dead one that nobody reaps, as in some containers, does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  const stat = process.platform === 'linux' ? readProc(pid, 'stat') : undefined
  return stat === undefined || stat.charAt(stat.lastIndexOf(')') + 2) !== 'Z'
}

/** Differs between two processes that had the same id one after the other; undefined when there is none. */
export function startTime(pid: number): string | undefined {
  if (process.platform !== 'linux') return psField(pid, 'lstart=')
  const stat = readProc(pid, 'stat')
  // The second field is the command in parentheses and may hold spaces; the start time is field 22.
  return stat
    ?.slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .at(19)
}

/** The command line, its arguments separated by spaces. */
export function commandLine(pid: number): string | undefined {
  if (process.platform !== 'linux') return psField(pid, 'command=')
  return readProc(pid, 'cmdline')?.replaceAll('\0', ' ')
}

/** Whether the process was gone before the time was up. */
export async function waitForExit(pid: number, timeoutMs: number): Promise<boolean> {
  const end = Date.now() + timeoutMs
  while (isAlive(pid)) {
    if (Date.now() > end) return false
    await sleep(25)
  }
  return true
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return undefined
  }
}

function psField(pid: number, field: string): string | undefined {
  try {
    return execFileSync('ps', ['-p', String(pid), '-o', field], { encoding: 'utf8' }).trim()
  } catch {
    return undefined
  }
}

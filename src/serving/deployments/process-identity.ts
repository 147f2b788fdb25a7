import { readFileSync } from 'node:fs'

/** Place of the start time among the fields after the name in `/proc/{pid}/stat`. */
const startField = 19

/** Tells a process from a later one with its number, where the system says when it started. */
export function processIdentity(pid: number): string {
  return `${pid}-${startOf(pid)}`
}

/** Whether the process that had this identity still runs. */
export function isAlive(identity: string): boolean {
  const pid = Number(identity.split('-')[0])
  if (!Number.isSafeInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    // One of another user may not be asked, and is there.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  return processIdentity(pid) === identity
}

function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name before may hold spaces and parentheses.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[startField] ?? '0'
  } catch {
    return '0'
  }
}

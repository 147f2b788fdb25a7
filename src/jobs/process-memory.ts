import { execFile } from 'node:child_process'
import { platform } from 'node:os'
import { promisify } from 'node:util'
import { readOptional } from './hosts/cgroup.ts'

const run = promisify(execFile)
const kibibyte = 1024

/**
 * Bytes of memory a process and its descendants hold that the system can't drop: mapped files are left out where the
 * kernel tells them apart. 0 for a process that is gone.
 */
export async function residentMemory(pid: number): Promise<number> {
  return platform() === 'linux' ? residentOfTree(pid) : residentByPs(pid)
}

async function residentOfTree(pid: number): Promise<number> {
  const [status, children] = await Promise.all([
    readProc(`/proc/${pid}/status`),
    readProc(`/proc/${pid}/task/${pid}/children`),
  ])
  const own = residentOfStatus(status)
  const rest = await Promise.all(
    children
      .trim()
      .split(' ')
      .filter(Boolean)
      .map(async (id) => residentOfTree(Number(id))),
  )
  return rest.reduce((sum, bytes) => sum + bytes, own)
}

// A process may end between being listed and being read; the kernel then answers ESRCH.
async function readProc(path: string): Promise<string> {
  const text = await readOptional(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ESRCH') return undefined
    throw error
  })
  return text ?? ''
}

/** RssAnon + RssShmem of `/proc/<pid>/status`, in bytes. */
export function residentOfStatus(status: string): number {
  const rows = status.matchAll(/^(?:RssAnon|RssShmem):\s+(\d+) kB$/gm)
  return [...rows].reduce((sum, [, kib]) => sum + Number(kib) * kibibyte, 0)
}

async function residentByPs(pid: number): Promise<number> {
  const { stdout } = await run('/bin/ps', ['-axo', 'pid=,ppid=,rss='])
  return residentOfTable(stdout, pid)
}

/** Sums the tree under `root` in rows of pid, parent pid, resident KiB. */
export function residentOfTable(table: string, root: number): number {
  const rows = table.split('\n').map((line) => line.trim().split(/\s+/).map(Number))
  const sum = (pid: number): number =>
    rows.reduce((total, [id = 0, parent = 0, rss = 0]) => {
      if (id === pid) return total + rss * kibibyte
      return parent === pid ? total + sum(id) : total
    }, 0)
  return sum(root)
}

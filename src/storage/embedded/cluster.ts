import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chownSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { HastenError, messageOf } from '../../errors.ts'
import type { PostgresBinaries } from './binaries.ts'
import { commandLine, isAlive, waitForExit } from './processes.ts'
import { initArguments } from './settings.ts'
import type { Launcher } from './system-user.ts'

export interface Cluster {
  /** Postgres' own data directory. */
  readonly dir: string
  readonly password: string
}

/** The cluster of the directory, made when there is none. A half-made one from a crash is thrown away. */
export async function openCluster(root: string, { initdb }: PostgresBinaries, launcher: Launcher): Promise<Cluster> {
  const dir = path.join(root, 'cluster')
  const passwordFile = path.join(root, 'password')
  if (!existsSync(dir)) await initCluster(dir, { initdb, passwordFile, launcher })
  await stopOrphan(dir)
  return { dir, password: readFileSync(passwordFile, 'utf8').trim() }
}

async function initCluster(
  dir: string,
  { initdb, passwordFile, launcher }: { initdb: string; passwordFile: string; launcher: Launcher },
): Promise<void> {
  const { user, command, options } = launcher
  const draft = `${dir}.new`
  rmSync(draft, { recursive: true, force: true })
  mkdirSync(draft, { mode: 0o700 })
  writeFileSync(passwordFile, `${randomBytes(24).toString('base64url')}\n`, { mode: 0o600 })
  if (user !== undefined) for (const file of [draft, passwordFile]) chownSync(file, user.uid, user.gid)
  try {
    await promisify(execFile)(...command(initdb, initArguments(draft, passwordFile)), { ...options, cwd: '/' })
  } catch (cause) {
    throw new HastenError('internal', `initdb failed: ${messageOf(cause)}`, { cause })
  }
  renameSync(draft, dir)
}

/** Ends a Postgres that outlived its killed owner, and forgets a pid file whose process is gone. */
async function stopOrphan(dir: string): Promise<void> {
  const pidFile = path.join(dir, 'postmaster.pid')
  if (!existsSync(pidFile)) return
  const pid = Number(readFileSync(pidFile, 'utf8').split('\n')[0])
  if (!isPostmaster(pid, dir)) return rmSync(pidFile, { force: true })
  await stopPostmaster(pid)
}

// After a reboot, or in a new container, the id may belong to any other process.
function isPostmaster(pid: number, dir: string): boolean {
  if (!Number.isInteger(pid) || pid <= 0 || !isAlive(pid)) return false
  const command = commandLine(pid) ?? ''
  return command.includes('postgres') && command.includes(dir)
}

/** Fast shutdown (clients are cut off, everything is written), then the immediate one, which recovers at the next start. */
export async function stopPostmaster(pid: number): Promise<void> {
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) {
    if (!isAlive(pid)) return
    process.kill(pid, signal)
    if (await waitForExit(pid, 20_000)) return
  }
  throw new HastenError('unavailable', `Postgres (process ${pid}) does not stop`)
}

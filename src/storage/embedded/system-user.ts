import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { HastenError, messageOf } from '../../errors.ts'

interface SystemUser {
  readonly uid: number
  readonly gid: number
}

/**
 * Postgres refuses to run as root, so root runs it as the system user `postgres`, made when it is missing. Undefined for
 * everybody else: Postgres then runs as the user itself.
 */
function chooseUser(): SystemUser | undefined {
  if (process.getuid?.() !== 0) return undefined
  return findUser('postgres') ?? createUser('postgres')
}

/** How to start a Postgres program: as ourselves, or as its user when we are root. */
export interface Launcher {
  readonly user: SystemUser | undefined
  readonly command: (program: string, parameters: readonly string[]) => readonly [string, string[]]
  readonly options: Partial<SystemUser>
}

/**
 * A launcher whose programs reach these files. Below a directory that only root may enter, such as its home, the
 * programs get the one capability that lets them pass, by util-linux' setpriv; they still write as their user only.
 * Throws config_invalid where that is not possible.
 */
export function chooseLauncher(files: readonly string[]): Launcher {
  const user = chooseUser()
  const barrier = user && files.map((file) => findBarrier(file, user)).find((dir) => dir !== undefined)
  if (user === undefined || barrier === undefined) {
    return { user, command: (program, parameters) => [program, [...parameters]], options: user ?? {} }
  }
  const prefix = [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups', ...passCapability(barrier)]
  return { user, command: (program, parameters) => ['setpriv', [...prefix, program, ...parameters]], options: {} }
}

// Bits of the effective capability set (capabilities(7)): searching alone where we have it, else the one containers have.
const passCapabilities = [
  { bit: 2n, name: 'dac_read_search' },
  { bit: 1n, name: 'dac_override' },
] as const

function passCapability(barrier: string): string[] {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readIfThere('/proc/self/status'))?.[1] ?? '0'
  const capability = passCapabilities.find(({ bit }) => ((BigInt(`0x${effective}`) >> bit) & 1n) === 1n)
  if (capability === undefined || spawnSync('setpriv', ['--version']).status !== 0) throw unreachable(barrier)
  return [`--inh-caps=+${capability.name}`, `--ambient-caps=+${capability.name}`]
}

/** The outermost directory on the way to the file that the user cannot enter. */
function findBarrier(file: string, user: SystemUser): string | undefined {
  const dir = path.dirname(path.resolve(file))
  const above = dir === path.dirname(dir) ? undefined : findBarrier(dir, user)
  if (above !== undefined) return above
  const { mode, uid, gid } = statSync(dir)
  const bit = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001
  return (mode & bit) === 0 ? dir : undefined
}

function unreachable(dir: string): HastenError {
  return new HastenError('config_invalid', `Postgres does not run as root, and its own user cannot enter ${dir}`, {
    hint: 'Run as another user, put program and data elsewhere (HASTEN_DATA_DIR), or set DATABASE_URL.',
  })
}

function findUser(name: string): SystemUser | undefined {
  const line = readIfThere('/etc/passwd')
    .split('\n')
    .find((entry) => entry.startsWith(`${name}:`))
  if (line === undefined) return undefined
  const [, , uid, gid] = line.split(':')
  return { uid: Number(uid), gid: Number(gid) }
}

function createUser(name: string): SystemUser {
  try {
    execFileSync('useradd', ['--system', '--user-group', '--no-create-home', name], { stdio: 'pipe' })
  } catch (cause) {
    throw new HastenError('config_invalid', `Cannot make the user ${name} to run Postgres as: ${messageOf(cause)}`, {
      hint: 'Run as another user than root, or set DATABASE_URL.',
      cause,
    })
  }
  const user = findUser(name)
  if (user === undefined) throw new HastenError('config_invalid', `The user ${name} is not in /etc/passwd`)
  return user
}

function readIfThere(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8') : ''
}

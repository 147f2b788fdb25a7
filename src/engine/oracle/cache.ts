import { randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { Type, type Static } from 'typebox'
import { Value } from 'typebox/value'
import { hostDigest, type OracleHost } from './host.ts'

/** Microseconds of one run by form; null where the host's runtime has no such form. */
const timesSchema = Type.Record(Type.String(), Type.Union([Type.Number(), Type.Null()]))
const tableSchema = Type.Record(Type.String(), timesSchema)

export type KernelTimes = Readonly<Static<typeof timesSchema>>
export type KernelTable = Readonly<Record<string, KernelTimes>>

/** Measured kernels of one kind of host, kept between jobs. */
export interface KernelCache {
  /** Those of these kernels that are known; it may be more. */
  read(kernels: readonly string[]): Promise<KernelTable>
  add(table: KernelTable): Promise<void>
}

/** A cache in a folder, one file for each kind of host. Written whole and renamed, so readers never see half a file. */
export function openKernelCache(folder: string, host: OracleHost): KernelCache {
  const file = path.join(folder, `${hostDigest(host)}.json`)
  const read = async () => parseTable(await readOptional(file))
  return {
    read,
    async add(table) {
      await mkdir(folder, { recursive: true })
      const fresh = `${file}.${randomUUID()}`
      await writeFile(fresh, JSON.stringify({ ...(await read()), ...table }))
      await rename(fresh, file)
    },
  }
}

async function readOptional(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '{}'
    throw error
  })
}

/** A file that isn't a table was damaged from outside; what it held is measured again. */
function parseTable(text: string): KernelTable {
  try {
    const table: unknown = JSON.parse(text)
    return Value.Check(tableSchema, table) ? table : {}
  } catch (error) {
    if (error instanceof SyntaxError) return {}
    throw error
  }
}

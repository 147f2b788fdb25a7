import type { SerializedError } from '../../errors.ts'
import type { DeploymentRow } from '../../storage/index.ts'
import { readPlan, type TrafficPlan } from '../traffic/plan.ts'
import type { ServedVersion } from '../served-version.ts'
import { answering, errorOf, stateOf, type Slot, type SlotState } from './slot.ts'
import { wantedVersions } from './wanted.ts'

/** A deployment as this process holds it. */
export interface Entry {
  /** As last read; what it wants decides what is loaded. */
  row: DeploymentRow
  /** Read from the row. */
  plan: TrafficPlan
  /** Versions that are wanted, or still answer for one that is. */
  readonly slots: Map<number, Slot>
  /** Versions that end their requests. */
  readonly retiring: Set<Slot>
  /** The active version that answered last; while another one loads, still the old one. */
  serving: number | undefined
  /** The deployment is gone. */
  disposed: boolean
}

export function createEntry(row: DeploymentRow): Entry {
  return {
    row,
    plan: readPlan(row),
    slots: new Map(),
    retiring: new Set(),
    serving: undefined,
    disposed: false,
  }
}

/** Takes over a row that was read again. */
export function updateEntry(entry: Entry, row: DeploymentRow): void {
  entry.row = row
  entry.plan = readPlan(row)
}

/** Versions that can answer. */
export function answeringVersions({ slots }: Entry): ReadonlyMap<number, ServedVersion> {
  const versions = new Map<number, ServedVersion>()
  for (const [version, slot] of slots) {
    const served = answering(slot)
    if (served !== undefined) versions.set(version, served)
  }
  return versions
}

export interface LocalStatus {
  readonly version: number
  readonly state: SlotState
  readonly error: SerializedError | null
}

/** What this process says of the versions it holds, loads, or failed to load. */
export function statusesOf({ slots }: Entry): readonly LocalStatus[] {
  return [...slots].map(([version, slot]) => ({ version, state: stateOf(slot), error: errorOf(slot) ?? null }))
}

/** Every wanted version is loaded or has failed. */
export function isSettled({ row, slots }: Entry): boolean {
  return wantedVersions(row).every((version) => {
    const slot = slots.get(version)
    return slot !== undefined && stateOf(slot) !== 'loading'
  })
}

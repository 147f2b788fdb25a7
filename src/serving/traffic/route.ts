import type { DeploymentRow } from '../../storage/index.ts'
import type { Routing, ServedVersion } from '../served-version.ts'
import { partStatistics } from './parts.ts'
import type { TrafficPlan } from './plan.ts'
import { pickVersion, pointOf, type WeightedVersion } from './split.ts'
import type { Wrapper } from './wrapper.ts'

type Part = 'canary' | 'cascade' | 'ensemble' | 'shadow' | 'capture'

/** What puts each part of a plan into effect; a part without a wrapper has none. */
export type Wrappers = { readonly [Name in Part]?: Wrapper<NonNullable<TrafficPlan[Name]>> }

interface RouteRequest extends Routing {
  /** Named by the client: traffic is bypassed. */
  readonly version?: string | undefined
}

export interface TrafficDeps {
  readonly wrappers: Wrappers
  /** From 0 to below 1. */
  readonly random?: () => number
}

export interface Traffic {
  /**
   * Who answers a request. Awaits nothing and counts nothing, so that it may be asked twice for one request.
   * @param loaded versions of the deployment that can answer now
   * @returns undefined when none that the plan or the request names is loaded
   */
  route(loaded: ReadonlyMap<number, ServedVersion>, plan: TrafficPlan, request: RouteRequest): ServedVersion | undefined
  /** Told of the rows each time they were read, before they take effect. */
  adopt(rows: readonly DeploymentRow[]): void
  /** Drops what is kept for a deployment that is gone. */
  forget(deployment: string): void
}

/** Wrapped versions of one plan, by the version they go around. */
interface Built {
  readonly key: string
  readonly loaded: readonly (ServedVersion | undefined)[]
  readonly wrapped: Map<number, ServedVersion>
}

export function createTraffic({ wrappers, random = Math.random }: TrafficDeps): Traffic {
  const built = new Map<string, Built>()
  return {
    route(loaded, plan, { version, key }) {
      if (version !== undefined) return loaded.get(Number(version))
      const point = key === undefined ? random() : pointOf(plan.deployment, key)
      const base = chooseBase(loaded, plan, point)
      if (base === undefined) return undefined
      const { wrapped } = currentOf(built, loaded, plan)
      const number = Number(base.version)
      const known = wrapped.get(number) ?? wrapVersion(wrappers, loaded, plan, base)
      wrapped.set(number, known)
      return known
    },
    adopt: () => {},
    forget: (deployment) => void built.delete(deployment),
  }
}

/** The version that answers, before anything is put around it; the active one when none of the others is loaded. */
function chooseBase(
  loaded: ReadonlyMap<number, ServedVersion>,
  plan: TrafficPlan,
  point: number,
): ServedVersion | undefined {
  const present = weightsOf(plan).filter(({ version }) => loaded.has(version))
  return loaded.get(pickVersion(present, point) ?? plan.active)
}

function weightsOf({ active, split, canary, cascade, ensemble }: TrafficPlan): readonly WeightedVersion[] {
  if (split !== undefined) return split
  // First, so that keys which had the candidate keep it as its weight grows.
  if (canary !== undefined) return [canary, { version: active, weight: 1 - canary.weight }]
  const [first] = (cascade ?? ensemble)?.versions ?? []
  return first === undefined ? [] : [{ version: first, weight: 1 }]
}

function currentOf(built: Map<string, Built>, loaded: ReadonlyMap<number, ServedVersion>, plan: TrafficPlan): Built {
  const known = built.get(plan.deployment)
  if (known?.key === plan.key && isSame(known.loaded, loaded)) return known
  const fresh = { key: plan.key, loaded: [...loaded.values()], wrapped: new Map() }
  built.set(plan.deployment, fresh)
  return fresh
}

function isSame(before: Built['loaded'], loaded: ReadonlyMap<number, ServedVersion>): boolean {
  if (before.length !== loaded.size) return false
  let index = 0
  for (const each of loaded.values()) if (before[index++] !== each) return false
  return true
}

/** Cascade and ensemble make the answer; the others watch what then is the answer. */
function wrapVersion(
  wrappers: Wrappers,
  loaded: ReadonlyMap<number, ServedVersion>,
  plan: TrafficPlan,
  base: ServedVersion,
): ServedVersion {
  const { canary, cascade, ensemble, shadow, capture } = plan
  let primary = base
  const put = <Options>(
    wrapper: Wrapper<Options> | undefined,
    options: Options | undefined,
    versions: readonly number[],
  ) => {
    const others = versions.flatMap((version) => loaded.get(version) ?? [])
    // Half of a cascade would answer otherwise than was asked for: the active version answers then.
    if (wrapper === undefined || options === undefined || others.length < versions.length) return
    primary = { ...primary, lane: wrapper({ options, plan, primary, others }) }
  }
  put(wrappers.cascade, cascade, cascade?.versions ?? [])
  put(wrappers.ensemble, ensemble, ensemble?.versions ?? [])
  // What several versions did counts for each of them.
  if (primary !== base) primary = { ...primary, statistics: partStatistics(base, loaded) }
  put(wrappers.canary, canary, canary === undefined ? [] : [canary.version, plan.active])
  put(wrappers.capture, capture, [])
  // A split may give a request to the shadow itself, which has nothing to be compared with then.
  if (shadow?.version !== Number(base.version))
    put(wrappers.shadow, shadow, shadow === undefined ? [] : [shadow.version])
  return primary
}

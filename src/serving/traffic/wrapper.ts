import type { Lane } from '../scheduler/lane.ts'
import type { ServedVersion } from '../served-version.ts'
import type { TrafficPlan } from './plan.ts'

/** What a wrapper gets besides its options. */
interface WrapContext<Options> {
  readonly options: Options
  readonly plan: TrafficPlan
  /** Answers as far as it goes: its lane may be another wrapper's already. */
  readonly primary: ServedVersion
  /** The loaded versions that the options name, in that order; of a cascade and an ensemble all of them. */
  readonly others: readonly ServedVersion[]
}

/**
 * Puts something around the lane of a version. `submit` of the lane it returns is called as that of any other; a result
 * says by `version` who answered when that is not the primary. A wrapper lives until the plan or a loaded version
 * changes, and needs no end of its own: what must outlive it is kept by whoever made the wrapper.
 */
export type Wrapper<Options> = (context: WrapContext<Options>) => Lane

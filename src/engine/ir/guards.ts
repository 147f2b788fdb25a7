import { HastenError } from '../../errors.ts'
import type { Value } from './graph.ts'

/** @throws HastenError `internal` when `value` is still read, or is a graph output; `what` names it. */
export function assertUnused(value: Value, what: string): void {
  if (value.isGraphOutput) throw new HastenError('internal', `${what} is a graph output and can't be removed`)
  const [use] = value.uses
  if (use === undefined) return
  throw new HastenError('internal', `${what} is still read by node '${use.node.name}'`)
}

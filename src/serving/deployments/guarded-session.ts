import type { Session } from '../../engine/serving.ts'
import type { RunMarker } from './crash-guard.ts'

/** Has the version marked while `work` is in native code. */
export async function whileMarked<T>(marker: RunMarker | undefined, work: () => Promise<T>): Promise<T> {
  if (marker === undefined) return work()
  const turn = marker.turn()
  const done = turn && (await turn)
  marker.enter()
  try {
    return await work()
  } finally {
    marker.leave()
    done?.()
  }
}

/** A session whose runs are marked. */
export function guardSession(session: Session, marker: RunMarker | undefined): Session {
  if (marker === undefined) return session
  return {
    ...session,
    run: (feeds, options) => whileMarked(marker, () => session.run(feeds, options)),
    runBorrowed: (feeds, options) => whileMarked(marker, () => session.runBorrowed(feeds, options)),
  }
}

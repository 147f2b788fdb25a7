/** Whether runs are worth handing to another thread. */
export interface InlineChoice {
  /** Whether a request whose inputs have so many bytes should run on the event loop's own thread. */
  isInline(bytes: number): boolean
  observe(isInline: boolean, bytes: number, ms: number): void
}

/** About what passing a run to another thread and back takes in a server: a shorter one is faster done here. */
const handOffMs = 0.1
/** A run that took no longer with the way to another thread may be one of these: it is tried. */
const worthTryingMs = 0.2
/** So many more long runs than short ones, and runs go to other threads again. */
const maxStrikes = 4
/** And so many do before as large a one is tried again. */
const runsBetweenTries = 500

/**
 * Decides by what runs took and how large their inputs were. Surprises cost others little: what is tried has just taken
 * no more than `worthTryingMs`, and a few runs that are too long send all of their size to other threads. One may be long
 * by chance, where other processes want the core too.
 */
export function createInlineChoice(): InlineChoice {
  let largestShort = -1
  let strikes = 0
  let runsLeft = 0
  return {
    isInline: (bytes) => bytes <= largestShort,
    observe(isInline, bytes, ms) {
      if (isInline) {
        strikes = ms <= handOffMs ? Math.max(0, strikes - 1) : strikes + 1
        if (strikes < maxStrikes) return
        largestShort = bytes - 1
        strikes = 0
        runsLeft = runsBetweenTries
      } else if (runsLeft > 0) runsLeft--
      else if (ms <= worthTryingMs) largestShort = Math.max(largestShort, bytes)
    },
  }
}

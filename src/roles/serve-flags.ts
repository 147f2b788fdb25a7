/**
 * Flags of V8 for a data plane.
 *
 * Loading many models makes much garbage once, and V8 keeps the room that this took: after 200 small models 120 MiB in the
 * young generation, and in the old one 87 of which 35 were alive. What a request leaves behind fits into 8 MiB of young
 * generation; the old one is collected early, and again when it has grown by a third.
 *
 * A prediction is the same code each time: compiled after an eighth or a sixth of the usual calls it is at its fastest
 * after a thousand requests, where it took ten thousand. Beside long runs, which are few a second, that was minutes.
 */
export const serveFlags = [
  '--max-semi-space-size=8',
  '--initial-old-space-size=32',
  '--heap-growing-percent=30',
  '--invocation-count-for-maglev=50',
  '--invocation-count-for-turbofan=500',
  '--minimum-invocations-after-ic-update=50',
] as const

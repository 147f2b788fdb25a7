/**
 * Flags of V8 for a data plane. Loading many models makes much garbage once, and V8 keeps the room that this took: after
 * 200 small models 120 MiB in the young generation, and 50 in the old one, where it collects for the first time when some
 * hundred MiB are full. What a request leaves behind fits into 8 MiB of young generation, and the old one grows with what is alive.
 */
export const serveFlags = [
  '--max-semi-space-size=8',
  '--initial-old-space-size=32',
  '--heap-growing-percent=30',
] as const

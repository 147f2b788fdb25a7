/**
 * Flags of V8 for a data plane (MiB). Loading many models makes much garbage once, and V8 keeps the room that its young
 * generation had grown to: 120 MiB after 200 small models. What a request leaves behind fits into this.
 */
export const serveFlags = ['--max-semi-space-size=8'] as const

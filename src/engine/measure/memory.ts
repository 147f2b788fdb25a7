import { readFileSync, writeFileSync } from 'node:fs'
import process from 'node:process'

const isLinux = process.platform === 'linux'

/**
 * Starts a watch on this process's resident memory.
 *
 * On Linux getrusage's maximum is of no use: exec carries over the peak of the process that forked. VmHWM starts anew,
 * and clear_refs resets it to the present (proc(5)).
 * @returns a function that tells by how many bytes the peak since then exceeds the memory then
 */
export function watchPeakMemory(): () => number {
  if (isLinux) writeFileSync('/proc/self/clear_refs', '5')
  const before = process.memoryUsage.rss()
  return () => Math.max(0, readPeak() - before)
}

function readPeak(): number {
  if (!isLinux) return process.resourceUsage().maxRSS * 1024
  const match = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1'))
  return Number(match?.[1]) * 1024
}

import { readFileSync } from 'node:fs'

/**
 * The most resident memory this process has had, in bytes. Linux counts what the parent had at the fork into a child's
 * `maxRSS`, so its own high-water mark is read where there is one.
 */
export function peakResidentBytes(): number {
  return process.platform === 'linux' ? highWaterMark() : process.resourceUsage().maxRSS * 1024
}

function highWaterMark(): number {
  const match = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))
  if (match === null) throw new Error('no VmHWM in /proc/self/status')
  return Number(match[1]) * 1024
}

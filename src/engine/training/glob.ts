/**
 * Whether a name matches a pattern, in which `*` stands for any characters and `?` for one. Dots and slashes are
 * characters like others. Linear in memory and at most quadratic in time, whatever the pattern.
 */
export function matchesGlob(name: string, pattern: string): boolean {
  let [at, next] = [0, 0]
  let star = -1
  let resume = 0
  while (at < name.length) {
    if (pattern[next] === '*') {
      star = next
      resume = at
      next += 1
    } else if (pattern[next] === '?' || pattern[next] === name[at]) {
      at += 1
      next += 1
    } else if (star >= 0) {
      // The last star takes one character more.
      next = star + 1
      resume += 1
      at = resume
    } else return false
  }
  while (pattern[next] === '*') next += 1
  return next === pattern.length
}

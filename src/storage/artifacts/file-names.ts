const maxNameBytes = 1024
const maxPartBytes = 255

/**
 * A plain relative path with `/` between its parts, or why it is none. The rule for every name that comes from outside
 * and may become a path: no absolute path, no `..`, nothing that another system reads as a separator, drive or device.
 */
export function checkFileName(name: string): { readonly name: string } | { readonly reason: string } {
  const plain = name.replace(/^(?:\.\/)+/, '')
  if (plain === '' || Buffer.byteLength(plain) > maxNameBytes) return { reason: 'is empty or too long' }
  // oxlint-disable-next-line no-control-regex -- that is what is refused
  if (/[\\:\u0000-\u001f\u007f]/.test(plain)) return { reason: 'has a backslash, colon or control character' }
  if (plain.startsWith('/')) return { reason: 'is an absolute path' }
  const parts = plain.split('/')
  if (parts.includes('..')) return { reason: 'leaves its folder' }
  if (parts.some((part) => part === '' || part === '.' || Buffer.byteLength(part) > maxPartBytes)) {
    return { reason: 'is not a plain relative path' }
  }
  return { name: plain }
}

import { lookup, type LookupAddress, type LookupOptions } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { HastenError } from '../../errors.ts'

/** Networks nobody on the internet can mean: this host, private, shared, link-local, reserved, multicast. */
const privateNetworks: readonly [network: string, bits: number, family: 'ipv4' | 'ipv6'][] = [
  ['0.0.0.0', 8, 'ipv4'],
  ['10.0.0.0', 8, 'ipv4'],
  ['100.64.0.0', 10, 'ipv4'],
  ['127.0.0.0', 8, 'ipv4'],
  ['169.254.0.0', 16, 'ipv4'],
  ['172.16.0.0', 12, 'ipv4'],
  ['192.0.0.0', 24, 'ipv4'],
  ['192.0.2.0', 24, 'ipv4'],
  ['192.168.0.0', 16, 'ipv4'],
  ['198.18.0.0', 15, 'ipv4'],
  ['198.51.100.0', 24, 'ipv4'],
  ['203.0.113.0', 24, 'ipv4'],
  ['224.0.0.0', 4, 'ipv4'],
  ['240.0.0.0', 4, 'ipv4'],
  ['::', 128, 'ipv6'],
  ['::1', 128, 'ipv6'],
  // Translations of IPv4 addresses, which would hide a private one.
  ['64:ff9b::', 96, 'ipv6'],
  ['64:ff9b:1::', 48, 'ipv6'],
  ['2002::', 16, 'ipv6'],
  ['2001:db8::', 32, 'ipv6'],
  ['fc00::', 7, 'ipv6'],
  ['fe80::', 10, 'ipv6'],
  ['ff00::', 8, 'ipv6'],
]

const blocked = new BlockList()
for (const network of privateNetworks) blocked.addSubnet(...network)

/** Whether an IP address is one that only this host or its own network can reach. */
export function isPrivateAddress(address: string): boolean {
  return blocked.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}

function refuse(host: string, address: string): HastenError {
  return new HastenError('forbidden', `${host} is ${address}, a private address: webhooks go to public ones only.`, {
    hint: 'Set WEBHOOK_PRIVATE=true when receivers are in your own network.',
  })
}

/** Refuses a URL whose host is written as a private address; names are checked when they are resolved. */
export function checkLiteralHost({ hostname }: URL): void {
  const address = hostname.replace(/^\[|\]$/g, '')
  if (isIP(address) !== 0 && isPrivateAddress(address)) throw refuse(hostname, address)
}

/**
 * A resolver for outgoing connections that refuses private addresses. It answers the connection itself, so the address
 * that was checked is the one that is used and a second, different answer of the name server can't slip in.
 */
export const guardedLookup: LookupFunction = (host, options, callback) => {
  const all: LookupOptions = { ...options, all: true }
  lookup(host, all, (error, found) => {
    const addresses = found as unknown as LookupAddress[]
    if (error !== null) return callback(error, '')
    const bad = addresses.find(({ address }) => isPrivateAddress(address))
    if (bad !== undefined) return callback(refuse(host, bad.address), '')
    if (options.all === true) return callback(null, addresses)
    callback(null, addresses[0]?.address ?? '', addresses[0]?.family)
  })
}

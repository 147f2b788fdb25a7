import { expect, test } from 'vitest'
import { checkLiteralHost, guardedLookup, isPrivateAddress } from '../../../src/jobs/webhooks/address-guard.ts'

test.each([
  '127.0.0.1',
  '127.8.8.8',
  '0.0.0.0',
  '10.1.2.3',
  '100.64.0.1',
  '169.254.169.254',
  '172.31.255.255',
  '192.168.1.1',
  '224.0.0.1',
  '255.255.255.255',
  '::1',
  '::',
  'fd00::1',
  'fe80::1',
  'ff02::1',
  '::ffff:127.0.0.1',
  '::ffff:a9fe:a9fe',
  '64:ff9b::a00:1',
  '2002:7f00:1::1',
])('%s is private', (address) => {
  expect(isPrivateAddress(address)).toBe(true)
})

test.each(['8.8.8.8', '172.32.0.1', '192.167.0.1', '100.128.0.1', '2606:4700::1111', '::ffff:8.8.8.8'])(
  '%s is public',
  (address) => {
    expect(isPrivateAddress(address)).toBe(false)
  },
)

test.each(['http://127.0.0.1/', 'http://[::1]:8080/', 'http://0x7f000001/', 'http://2130706433/', 'http://127.1/'])(
  'a private address in a URL is refused however it is written: %s',
  (url) => {
    expect(() => checkLiteralHost(new URL(url))).toThrow('private address')
  },
)

test('names and public addresses pass the literal check', () => {
  checkLiteralHost(new URL('https://example.com/'))
  checkLiteralHost(new URL('https://8.8.8.8/'))
})

test.each([{ all: true }, {}])('a name that resolves to a private address is refused (%o)', async (options) => {
  const error = await new Promise((resolve) => guardedLookup('localhost', options, resolve))
  expect(error).toMatchObject({ code: 'forbidden' })
})

test('a name that does not resolve keeps its own error', async () => {
  const error = await new Promise((resolve) => guardedLookup('no-such-host.invalid', { all: true }, resolve))
  expect((error as NodeJS.ErrnoException).code).not.toBe('forbidden')
  expect(error).toBeInstanceOf(Error)
})

test('a public address is handed on in the form that was asked for', async () => {
  const ask = async (options: object) =>
    new Promise((resolve) => guardedLookup('8.8.8.8', options, (...answer) => resolve(answer)))
  expect(await ask({ all: true })).toEqual([null, [{ address: '8.8.8.8', family: 4 }]])
  expect(await ask({})).toEqual([null, '8.8.8.8', 4])
})

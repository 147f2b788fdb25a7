import { describe, expect, test } from 'vitest'
import { HastenError } from '../../src/errors.ts'
import { createKeyAuthorizer, createOpenAuthorizer } from '../../src/serving/authorize.ts'

const good = { project: 'acme', scopes: ['predict'], expiresAt: null }
const header = 'Bearer hk_secret_secret_secret_secret'

describe('keys', () => {
  test('are looked up again after their time, and then a deleted one is refused', async () => {
    let key: typeof good | undefined = good
    const authorize = createKeyAuthorizer({ findKey: async () => key, ttlMs: 0 })
    expect(await authorize(header)).toEqual({ project: 'acme' })
    key = undefined
    await expect(authorize(header)).rejects.toMatchObject({ code: 'unauthorized' })
  })

  test('that were good hold while the database is away; others are told that it is', async () => {
    let isAway = false
    const findKey = async () => {
      if (isAway) throw new HastenError('unavailable', 'no database')
      return good
    }
    const authorize = createKeyAuthorizer({ findKey, ttlMs: 0 })
    await authorize(header)
    isAway = true
    expect(await authorize(header)).toEqual({ project: 'acme' })
    await expect(authorize(`${header}_other`)).rejects.toMatchObject({ code: 'unavailable' })
  })

  test('must have the scope that is asked for, from memory too', async () => {
    let scopes = ['predict']
    const authorize = createKeyAuthorizer({ findKey: async () => ({ ...good, scopes }) })
    await authorize(header)
    const refused = expect.objectContaining({
      code: 'forbidden',
      message: 'The key lacks the scope deployments:write.',
    })
    expect(() => authorize(header, 'deployments:write')).toThrow(refused)
    await expect(authorize(`${header}_new`, 'deployments:write')).rejects.toEqual(refused)
    scopes = ['deployments:write']
    expect(await authorize(`${header}_writer`, 'deployments:write')).toEqual({ project: 'acme' })
  })

  test('that expire are refused from memory too', async () => {
    const expiresAt = new Date(Date.now() + 60_000)
    const authorize = createKeyAuthorizer({ findKey: async () => ({ ...good, expiresAt }) })
    await authorize(header)
    expiresAt.setTime(Date.now())
    expect(() => authorize(header)).toThrow(expect.objectContaining({ code: 'unauthorized' }))
  })

  test.each([undefined, '', 'Basic abc', 'Bearer short', 'Bearer sk_secret_secret_secret_secret'])(
    'are not looked up when the header is %j',
    async (wrong) => {
      const authorize = createKeyAuthorizer({ findKey: async () => Promise.reject(new Error('asked')) })
      await expect(authorize(wrong)).rejects.toMatchObject({ code: 'unauthorized' })
    },
  )
})

test('without authentication everybody is the default project', () => {
  expect(createOpenAuthorizer()(undefined)).toEqual({ project: 'default' })
})

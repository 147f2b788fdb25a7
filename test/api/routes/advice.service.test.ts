import { describe, expect, it } from 'vitest'
import { parseRecipe } from '../../../src/engine/schemas.ts'
import { newId } from '../../../src/storage/index.ts'
import { storeHost, storeModel, useApi } from '../harness.ts'

const api = useApi()

interface Answer {
  readonly host: { readonly id: string; readonly isa: readonly string[] } | null
  readonly suggestions: readonly { readonly technique: string; readonly advice: string; readonly reasons: string[] }[]
  readonly recipe: { readonly name: string }
}

async function ask(id: string, payload?: object) {
  const request = { method: 'POST', url: `/v1/models/${id}/advice`, ...(payload && { payload }) } as const
  const { status, body } = await api.call(request)
  return { status, body: body as unknown as Answer & Record<string, unknown> }
}

describe('POST /v1/models/{id}/advice', () => {
  it('ranks techniques, each with reasons and a recipe that parses; without a worker says so', async () => {
    const { id } = await storeModel(api.storage)
    const { status, body } = await ask(id)
    expect(status).toBe(200)
    expect(body).toMatchObject({ object: 'advice', model: id, host: null })
    expect(body.suggestions.length).toBeGreaterThan(4)
    for (const { reasons } of body.suggestions) expect(reasons.length).toBeGreaterThan(0)
    expect(parseRecipe(body.recipe)).toEqual(body.recipe)
    expect(JSON.stringify(body.suggestions)).toContain('No live worker')
  })

  it('looks at the live worker of the device', async () => {
    const { id } = await storeModel(api.storage)
    const host = await storeHost(api.storage, { id: newId('hst'), queues: ['cpu'] })
    expect((await ask(id, { goal: 'size' })).body.host).toMatchObject({ id: host.id, device: 'cpu' })
    expect((await ask(id, { device: 'cuda' })).body.host).toBeNull()
    await api.storage.hosts.setDraining('default', host.id, true)
    expect((await ask(id)).body.host).toBeNull()
  })

  it('offers lossless techniques only where no loss is allowed', async () => {
    const { id } = await storeModel(api.storage)
    const { body } = await ask(id, { allowed_loss: 0 })
    expect(body.recipe.name).toBe('lossless')
    expect(body.suggestions.filter(({ advice }) => advice === 'try').map(({ technique }) => technique)).not.toContain(
      'int8-static',
    )
  })

  it.each([{ goal: 'beauty' }, { allowed_loss: 2 }, { batch: 0 }, { device: 'tpu' }, { extra: 1 }])(
    'refuses %j',
    async (payload) => {
      const { id } = await storeModel(api.storage)
      expect(await ask(id, payload)).toMatchObject({ status: 400, body: { code: 'invalid_request' } })
    },
  )

  it('knows no model of another project', async () => {
    const { id } = await storeModel(api.storage, { project: 'other' })
    expect(await ask(id)).toMatchObject({ status: 404, body: { code: 'not_found' } })
  })
})

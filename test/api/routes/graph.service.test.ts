import { expect, it } from 'vitest'
import { storeModel, useApi } from '../harness.ts'

const api = useApi()

it('pages through all nodes, each page with the edges into its nodes', async () => {
  const { id } = await storeModel(api.storage, { project: 'default' })
  const nodes: number[] = []
  const edges: { from: number; to: number }[] = []
  let after: string | null = ''
  for (let pages = 0; after !== null; pages += 1) {
    expect(pages).toBeLessThan(3)
    const answer = await api.call({ url: `/v1/models/${id}/graph${after === '' ? '' : `?after=${after}`}` })
    expect(answer.status).toBe(200)
    expect(answer.body).toMatchObject({ object: 'graph', model: id, total: { nodes: 250, edges: 249 } })
    const indexes = answer.body.nodes.map(({ index }: { index: number }) => index)
    for (const { to } of answer.body.edges) expect(indexes).toContain(to)
    nodes.push(...indexes)
    edges.push(...answer.body.edges)
    expect(answer.body.has_more).toBe(answer.body.next_cursor !== null)
    after = answer.body.next_cursor
  }
  expect(nodes).toEqual(Array.from({ length: 250 }, (_, index) => index))
  expect(edges).toHaveLength(249)
})

it.each(['150', '300', '-100', 'x', '1e9'])('refuses the cursor %s', async (after) => {
  const { id } = await storeModel(api.storage, { project: 'default' })
  const answer = await api.call({ url: `/v1/models/${id}/graph?after=${after}` })
  expect(answer.body).toMatchObject({ status: 400, code: 'invalid_cursor' })
})

it('knows no graph of a model that is not there', async () => {
  const answer = await api.call({ url: '/v1/models/mdl_00000000000000000000000000/graph' })
  expect(answer.body).toMatchObject({ status: 404, code: 'not_found' })
})

import { expect, test } from 'vitest'
import { newId } from '../../../../src/storage/index.ts'
import { createModel, useStorage } from '../../../support/storage.ts'

const context = useStorage()

test('figures of servers stand beside each other, are overwritten by topic, and go with their version or with age', async () => {
  const { deployments } = context.storage
  const name = newId('srv')
  const modelId = (await createModel(context.storage)).id
  const { id: deploymentId } = await deployments.create({ project: 'p1', name, modelId })
  await deployments.addVersion('p1', name, { modelId, activate: false })
  const write = async (version: number, serverId: string, compared: number) =>
    deployments.writeFigures({ deploymentId, version, serverId, figures: { shadow: { compared } } })
  expect(await write(2, 'srv_a', 1)).toBe(true)
  expect(await write(2, 'srv_b', 2)).toBe(true)
  expect(await write(2, 'srv_a', 3)).toBe(true)
  expect(await write(1, 'srv_a', 4)).toBe(true)
  expect(await write(9, 'srv_a', 5)).toBe(false)
  const listed = async () =>
    (await deployments.listFigures(deploymentId)).map(({ version, serverId, figures }) => [version, serverId, figures])
  expect(await listed()).toEqual([
    [1, 'srv_a', { shadow: { compared: 4 } }],
    [2, 'srv_a', { shadow: { compared: 3 } }],
    [2, 'srv_b', { shadow: { compared: 2 } }],
  ])
  const serving = { requests: 5 }
  await deployments.writeFigures({ deploymentId, version: 1, serverId: 'srv_a', figures: { serving } })
  expect((await listed())[0]).toEqual([1, 'srv_a', { shadow: { compared: 4 }, serving }])
  await deployments.removeVersion('p1', name, 2)
  expect(await listed()).toHaveLength(1)
  expect(await deployments.pruneFigures(60_000)).toBe(0)
  await expect.poll(async () => deployments.pruneFigures(0)).toBe(1)
  expect(await listed()).toEqual([])
})

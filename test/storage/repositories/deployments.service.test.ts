import { beforeEach, describe, expect, test } from 'vitest'
import { HastenError, serializeError } from '../../../src/errors.ts'
import { newId, type DeploymentRow, type ReplicaState } from '../../../src/storage/index.ts'
import { runSql } from '../../support/postgres.ts'
import { createModel, useStorage } from '../../support/storage.ts'

const context = useStorage()
const deployments = () => context.storage.deployments
let name = ''
beforeEach(() => {
  name = newId('srv')
})

const create = async (changes = {}) =>
  deployments().create({ project: 'p1', name, modelId: (await createModel(context.storage)).id, ...changes })
const find = async () => (await deployments().find('p1', name))!

function report({ id }: DeploymentRow, serverId: string, state: ReplicaState, version = 1) {
  const error = state === 'failed' ? serializeError(new HastenError('model_load_failed', `on ${serverId}`)) : null
  return deployments().reportReplica({ deploymentId: id, version, serverId, state, error, url: 'http://127.0.0.1:1' })
}

test('a deployment starts with version 1, pending', async () => {
  const traffic = { split: [{ version: 1, weight: 1 }] }
  const made = await create({ options: { threads: 1 }, traffic })
  expect(made).toMatchObject({ name, state: 'pending', active: 1, traffic, canary: null, error: null })
  expect(made.versions).toMatchObject([{ version: 1, options: { threads: 1 }, replicas: [] }])
  expect(await find()).toEqual(made)
  expect(await deployments().find('p2', name)).toBeUndefined()
})

test('names are taken over all projects until the deployment is removed', async () => {
  await create()
  const foreign = await createModel(context.storage, 'p2')
  const again = () => deployments().create({ project: 'p2', name, modelId: foreign.id })
  await expect(again()).rejects.toMatchObject({ code: 'conflict' })
  expect(await deployments().remove('p2', name)).toBe(false)
  expect(await deployments().remove('p1', name)).toBe(true)
  expect(await deployments().remove('p1', name)).toBe(false)
  expect((await again()).project).toBe('p2')
})

test('one of many creations at once gets the name', async () => {
  const { id: modelId } = await createModel(context.storage)
  const made = await Promise.allSettled(Array.from({ length: 5 }, () => create({ modelId })))
  expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
})

test('a model of another project is refused and the name stays free', async () => {
  const foreign = await createModel(context.storage, 'p2')
  await expect(create({ modelId: foreign.id })).rejects.toMatchObject({ code: 'not_found' })
  expect((await create()).name).toBe(name)
})

test('a deployment can be told to be loaded nowhere, and which versions stay loaded', async () => {
  await report(await create({ policy: { latest: 2 } }), 'srv_a', 'ready')
  expect(await find()).toMatchObject({ loaded: true, state: 'ready', policy: { latest: 2 } })
  const unloaded = await deployments().update('p1', name, { loaded: false, policy: { all: true } })
  expect(unloaded).toMatchObject({ loaded: false, state: 'unloaded', error: null, policy: { all: true } })
  expect(await deployments().update('p1', name, { loaded: true })).toMatchObject({ state: 'ready' })
})

describe('state', () => {
  test.each([
    [['loading'], 'loading'],
    [['failed', 'loading'], 'loading'],
    [['failed', 'failed'], 'failed'],
    [['failed', 'ready'], 'ready'],
    [['ready', 'loading'], 'ready'],
    [['idle', 'failed'], 'ready'],
  ] as const)('replicas %j make it %s', async (replicas, state) => {
    const made = await create()
    for (const [i, replica] of replicas.entries()) await report(made, `srv_${i}`, replica)
    const found = await find()
    expect(found.state).toBe(state)
    expect(found.error).toEqual(state === 'failed' ? expect.objectContaining({ code: 'model_load_failed' }) : null)
    expect((await deployments().list('p1', { state }, { limit: 100 })).rows.map((row) => row.name)).toContain(name)
  })

  test('a server that fell silent does not count, and counts again when it is seen', async () => {
    const made = await create()
    await report(made, 'srv_silent', 'ready')
    await runSql(context.connectionString, "UPDATE deployment_replicas SET seen_at = now() - interval '11 s'")
    expect((await find()).state).toBe('pending')
    await deployments().touchReplicas('srv_silent')
    expect((await find()).state).toBe('ready')
    await deployments().removeServer('srv_silent')
    expect((await find()).versions[0]!.replicas).toEqual([])
  })

  test('only replicas of the active version count', async () => {
    const made = await create()
    await report(made, 'srv_a', 'ready')
    const next = await createModel(context.storage)
    const two = (await deployments().addVersion('p1', name, { modelId: next.id }))!
    expect(two).toMatchObject({ active: 2, state: 'pending' })
    await report(two, 'srv_a', 'loading', 2)
    expect((await find()).state).toBe('loading')
    expect(await deployments().update('p1', name, { active: 1 })).toMatchObject({ active: 1, state: 'ready' })
  })

  test('a report of a version that is gone is refused', async () => {
    const made = await create()
    expect(await report(made, 'srv_a', 'ready', 9)).toBe(false)
    expect(await report(made, 'srv_a', 'loading')).toBe(true)
    expect(await report(made, 'srv_a', 'ready')).toBe(true)
    await runSql(context.connectionString, "UPDATE deployment_replicas SET seen_at = now() - interval '1 hour'")
    expect(await deployments().pruneReplicas(60_000)).toBeGreaterThan(0)
  })
})

describe('versions', () => {
  test('added at once get different numbers', async () => {
    await create()
    const { id: modelId } = await createModel(context.storage)
    await Promise.all(
      Array.from({ length: 4 }, () => deployments().addVersion('p1', name, { modelId, activate: false })),
    )
    const { active, versions } = await find()
    expect([active, versions.map(({ version }) => version)]).toEqual([1, [1, 2, 3, 4, 5]])
  })

  test('the active one stays; one that is not there cannot be activated', async () => {
    await create()
    const { id: modelId } = await createModel(context.storage)
    await deployments().addVersion('p1', name, { modelId, activate: false })
    await expect(deployments().removeVersion('p1', name, 1)).rejects.toMatchObject({ code: 'conflict' })
    await expect(deployments().update('p1', name, { active: 7 })).rejects.toMatchObject({ code: 'not_found' })
    expect(await deployments().removeVersion('p1', name, 2)).toBe(true)
    expect(await deployments().removeVersion('p1', name, 2)).toBe(false)
    expect(await deployments().update('p2', name, { active: 1 })).toBeUndefined()
  })

  test('changes of desired state are notified and listed for servers', async () => {
    const heard: (string | null)[] = []
    const unsubscribe = await context.storage.listen('hasten_deployment', (payload) => heard.push(payload))
    await create()
    await deployments().update('p1', name, { metadata: { a: 1 } })
    expect((await deployments().listDesired()).map((row) => row.name)).toContain(name)
    await deployments().remove('p1', name)
    expect((await deployments().listDesired()).map((row) => row.name)).not.toContain(name)
    await expect.poll(() => heard.filter((payload) => payload === name)).toHaveLength(3)
    unsubscribe()
  })
})

import { expect, onTestFinished, test } from 'vitest'
import { createListener } from '../../src/storage/listener.ts'
import { useStorage } from '../support/storage.ts'

const context = useStorage()

test('many channels at once share one connection, which is asked one thing at a time', async () => {
  const warnings: string[] = []
  const note = ({ message }: Error) => void warnings.push(message)
  process.on('warning', note)
  onTestFinished(() => void process.off('warning', note))
  const { listen, close } = createListener(context.connectionString, undefined)
  const heard: (string | null)[] = []
  const channels = Array.from({ length: 8 }, (_, n) => `channel_${n}`)
  await listen('first', () => undefined)
  await Promise.all(channels.map(async (channel) => listen(channel, (payload) => void heard.push(payload))))
  await Promise.all(channels.map(async (channel) => context.storage.notify(channel, channel)))
  await expect.poll(() => new Set(heard)).toEqual(new Set(channels))
  expect(warnings).toEqual([])
  await close()
})

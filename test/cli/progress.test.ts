import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { createStageView, describeEpoch } from '../../src/cli/progress.ts'

const update = { stage: 'train', epoch: 2, epochs: 5, loss: 0.30512, eta_ms: 14_200 }
const end = { ...update, validation_loss: 0.28, metric: 0.9125, metric_name: 'accuracy' }

test('an epoch is one line: losses, the metric by its name, the time left', () => {
  expect(describeEpoch(end)).toBe('epoch 2/5, loss 0.305, held back 0.28, accuracy 0.9125, 15 s left')
  expect(describeEpoch(update)).toBe('epoch 2/5, loss 0.305, 15 s left')
})

test('a log has stages, progress that is complete, and ends of epochs', async () => {
  const stream = new PassThrough()
  const view = createStageView(stream as unknown as NodeJS.WriteStream)
  view.show({ type: 'job.stage', data: { stage: 'train', state: 'running' } })
  view.show({ type: 'job.progress', data: { stage: 'train', done: 3, total: 10, unit: 'steps' } })
  view.show({ type: 'job.metric', data: update })
  view.show({ type: 'job.metric', data: end })
  view.show({ type: 'job.progress', data: { stage: 'train', done: 10, total: 10, unit: 'steps' } })
  await view.end()
  stream.end()
  expect(await text(stream)).toBe(
    'train: running\ntrain: epoch 2/5, loss 0.305, held back 0.28, accuracy 0.9125, 15 s left\ntrain: 10/10 steps\n',
  )
})

import { Writable } from 'node:stream'
import { expect, test } from 'vitest'
import { createLogger, createMetrics } from '../src/telemetry.ts'

test('each registry has the metrics of its process, once', async () => {
  const texts = await Promise.all([createMetrics(), createMetrics()].map(async (registry) => registry.metrics()))
  for (const text of texts) {
    for (const name of [
      'process_cpu_seconds_total',
      'process_resident_memory_bytes',
      'nodejs_eventloop_lag_p99_seconds',
    ]) {
      expect(text.match(new RegExp(`^${name} `, 'gm'))).toHaveLength(1)
    }
  }
})

test('a log line names its role and hides secrets', () => {
  const lines: string[] = []
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString())
      done()
    },
  })
  const logger = createLogger({ level: 'info', role: 'api', destination })
  logger.info(
    { req: { headers: { authorization: 'Bearer hk_secret' } }, database: { connectionString: 'hk_secret' } },
    'x',
  )
  expect(JSON.parse(lines[0]!)).toMatchObject({ role: 'api', msg: 'x' })
  expect(lines[0]).not.toContain('hk_secret')
})

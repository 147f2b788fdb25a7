import { childEntry, spawnCapped } from '../../../src/jobs/capped-child.ts'

// A parent that starts a child which works for ever, says its pid and waits to be killed.
const child = spawnCapped({
  entry: childEntry(import.meta.url, './echo'),
  memoryBytes: 2 ** 30,
  onMessage: () => undefined,
})
child.send({ kind: 'stubborn' })
process.stdout.write(String(child.pid))

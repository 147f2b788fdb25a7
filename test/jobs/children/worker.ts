import { createQueueBackend } from '../../../src/jobs/queue-backend.ts'
import { startWorker } from '../../../src/jobs/worker.ts'
import { openStorage } from '../../../src/storage/index.ts'
import { testLogger, workerDeps, type TestPlace } from '../../support/job-worker.ts'

// A worker as a process of its own: gets the addresses, says when it is ready, and works until it is killed.
process.once('message', (order: Order) => void run(order))

interface Order {
  readonly place: TestPlace
  readonly slots: number
}

async function run({ place, slots }: Order): Promise<void> {
  const storage = await openStorage({ connectionString: place.connectionString })
  const backend = createQueueBackend({ ...place, prefix: 'test', logger: testLogger })
  await startWorker({ ...workerDeps(storage, backend, place), slots })
  process.send?.('ready')
}

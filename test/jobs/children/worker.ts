import { createQueueBackend } from '../../../src/jobs/queue-backend.ts'
import { startWorker } from '../../../src/jobs/worker.ts'
import { openStorage } from '../../../src/storage/index.ts'
import { testLogger, workerDeps, type BackendUrls } from '../../support/job-worker.ts'

// A worker as a process of its own: gets the addresses, says when it is ready, and works until it is killed.
process.once('message', (order: Order) => void run(order))

interface Order {
  readonly urls: BackendUrls
  readonly slots: number
}

async function run({ urls, slots }: Order): Promise<void> {
  const storage = await openStorage({ connectionString: urls.connectionString })
  const backend = createQueueBackend({ ...urls, prefix: 'test', logger: testLogger })
  await startWorker({ ...workerDeps(storage, backend, urls.connectionString), slots })
  process.send?.('ready')
}

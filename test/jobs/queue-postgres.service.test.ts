import { describe } from 'vitest'
import { queueSuite } from './queue-suite.ts'

describe('jobs over Postgres', () => {
  queueSuite(async () => ({ redisUrl: undefined }))
})

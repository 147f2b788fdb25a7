import { afterAll, describe } from 'vitest'
import { redisMissing, startRedis, type TestRedis } from '../support/redis.ts'
import { queueSuite } from './queue-suite.ts'

const missing = redisMissing()

describe.skipIf(missing !== undefined)(
  `jobs over Redis${missing === undefined ? '' : ` (skipped: ${missing})`}`,
  () => {
    let redis: TestRedis | undefined
    afterAll(async () => redis?.stop())
    queueSuite(async () => {
      redis = await startRedis()
      return { redisUrl: redis.url }
    })
  },
)

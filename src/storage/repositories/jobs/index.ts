import type { Database } from '../../database.ts'
import { createJobAttempts } from './attempts.ts'
import { createJobRequests } from './requests.ts'
import type { Jobs } from './types.ts'
import { createJobUpkeep } from './upkeep.ts'

export function createJobs(database: Database): Jobs {
  return { ...createJobRequests(database), ...createJobAttempts(database), ...createJobUpkeep(database) }
}

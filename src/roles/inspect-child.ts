import { serveParent } from '../jobs/child-protocol.ts'
import type { InspectRequest } from '../jobs/inspect/client.ts'
import { processInspect } from '../jobs/inspect/process.ts'
import { openStorage } from '../storage/index.ts'

// Composition root of the process that looks at one upload: it has the database and a folder, and no runtime.
serveParent(async (message, signal) => {
  const { subject, connectionString, workDir } = message as InspectRequest
  const storage = await openStorage({ connectionString, maxConnections: 1 })
  try {
    const { artifacts, captured } = storage
    return await processInspect({ artifacts, captured, workDir, signal }, subject)
  } finally {
    await storage.close()
  }
})

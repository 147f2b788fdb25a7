import { Type } from 'typebox'
import { jobArtifacts } from '../../../jobs/optimize/contract.ts'
import { found, type ApiApp, type ApiContext } from '../../context.ts'
import { projectOf } from '../../plugins/auth.ts'
import { readArtifact } from '../../reports/artifacts.ts'
import { describeRoute } from '../../route.ts'
import { closed, idOf } from '../../schemas/common.ts'
import { artifactKindSchema } from '../../schemas/job.ts'

const get = describeRoute({
  id: 'getJobArtifact',
  tag: 'jobs',
  summary: 'One of the things a job found, as the job lists them',
  scope: 'jobs:read',
  errors: ['not_found'],
  schema: {
    params: Type.Object({ id: idOf('job'), kind: artifactKindSchema }, closed),
    response: { 200: Type.Union(Object.values(jobArtifacts)) },
  },
})

export function artifactRoutes(app: ApiApp, { storage }: ApiContext): void {
  app.get('/jobs/:id/artifacts/:kind', get, async (request) => {
    const { id, kind } = request.params
    const { files } = found(await storage.jobs.find(projectOf(request), id, { notes: false }), `job ${id}`)
    return found(await readArtifact(storage, files, kind), `${kind} of job ${id}`)
  })
}

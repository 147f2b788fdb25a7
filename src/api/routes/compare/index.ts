import { HastenError } from '../../../errors.ts'
import type { ApiRoutes } from '../../context.ts'
import { projectOf } from '../../plugins/auth.ts'
import { describeRoute } from '../../route.ts'
import { compareJobs, compareModels } from './compare.ts'
import { comparisonSchema, compareQuery } from './schema.ts'

const compare = describeRoute({
  id: 'compare',
  tag: 'jobs',
  summary: 'Measurements of jobs or models side by side',
  scope: 'jobs:read',
  errors: ['not_found'],
  schema: { querystring: compareQuery, response: { 200: comparisonSchema } },
})

export const compareRoutes: ApiRoutes = async (app, { storage }) => {
  app.get('/compare', compare, async (request) => {
    const project = projectOf(request)
    const { jobs, models } = request.query
    if (jobs !== undefined && models === undefined) return compareJobs(storage, project, jobs.split(','))
    if (models !== undefined && jobs === undefined) return compareModels(storage, project, models.split(','))
    throw new HastenError('invalid_request', 'Name jobs or models, one of the two.', {
      errors: [{ pointer: '/querystring/jobs', detail: 'must be given, or models, and not both' }],
    })
  })
}

import type { FastifyInstance, FastifyRequest } from 'fastify'
import { HastenError } from '../../../errors.ts'
import type { ServedVersion } from '../../served-version.ts'
import type { RouteDeps } from '../app.ts'
import { modelConfig, modelMetadata, modelStatistics } from '../model-documents.ts'
import { addPath, modelParams, modelPaths, type Handler } from './route.ts'

/** Settings that exist elsewhere and cannot be changed here. */
const traceSettings = { trace_level: ['OFF'], trace_rate: '0', trace_count: '0', log_frequency: '0', trace_file: '' }
const readOnly = 'settings are read-only here; the environment of the server sets them'

/** Readiness, metadata, configuration and statistics of models; trace and log settings. */
export async function modelRoutes(app: FastifyInstance, { catalog, logger }: RouteDeps): Promise<void> {
  const find = (request: FastifyRequest): ServedVersion => {
    const { name, version } = modelParams(request)
    return catalog.find(request.project, name, version)
  }
  const documents: Readonly<Record<string, (model: ServedVersion) => object>> = {
    '': (model) => modelMetadata(model, catalog.loaded(model.project, model.name)),
    '/config': modelConfig,
    '/ready': (model) => {
      catalog.checkReady(model)
      return { name: model.name, ready: true }
    },
  }
  for (const [suffix, document] of Object.entries(documents)) {
    for (const url of modelPaths(suffix)) addPath(app, url, { GET: async (request) => document(find(request)) })
  }
  const [unversioned = '', versioned = ''] = modelPaths('/stats')
  addPath(app, unversioned, {
    GET: async (request) => {
      const { project, name } = find(request)
      return statisticsOf(catalog.loaded(project, name))
    },
  })
  addPath(app, versioned, { GET: async (request) => statisticsOf([find(request)]) })
  addPath(app, '/v2/models/stats', {
    GET: async (request) => statisticsOf(catalog.list(request.project)),
  })
  const refuse: Handler = async () => {
    throw new HastenError('not_implemented', readOnly)
  }
  addPath(app, '/v2/trace/setting', { GET: async () => traceSettings, POST: refuse })
  addPath(app, '/v2/models/:name/trace/setting', {
    GET: async (request) => find(request) && traceSettings,
    POST: refuse,
  })
  addPath(app, '/v2/logging', { GET: async () => logSettings(logger.level), POST: refuse })
}

function statisticsOf(models: readonly ServedVersion[]): object {
  return { model_stats: models.map(modelStatistics) }
}

const pinoLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal']

function logSettings(level: string): object {
  const isOn = (name: string) => pinoLevels.includes(level) && pinoLevels.indexOf(level) <= pinoLevels.indexOf(name)
  return {
    log_file: '',
    log_info: isOn('info'),
    log_warning: isOn('warn'),
    log_error: isOn('error'),
    log_verbose_level: isOn('debug') ? 1 : 0,
    log_format: 'json',
  }
}

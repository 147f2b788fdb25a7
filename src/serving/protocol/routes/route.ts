import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { HastenError } from '../../../errors.ts'

type Verb = 'GET' | 'POST'
export type Handler = (request: FastifyRequest, reply: FastifyReply) => unknown

const verbs = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const

/** Adds one path; verbs it does not take are answered 405. */
export function addPath(app: FastifyInstance, url: string, handlers: Readonly<Partial<Record<Verb, Handler>>>): void {
  const allowed = Object.keys(handlers).join(', ')
  for (const [method, handler] of Object.entries(handlers)) app.route({ method, url, handler })
  const others = verbs.filter((verb) => !Object.hasOwn(handlers, verb))
  app.route({
    method: others,
    url,
    exposeHeadRoute: false,
    handler: (request, reply) => {
      reply.header('allow', allowed)
      throw new HastenError('method_not_allowed', `${url} takes ${allowed}, not ${request.method}.`)
    },
  })
}

/** `/v2/models/{name}` and its versioned form, with a suffix. */
export function modelPaths(suffix = ''): readonly string[] {
  return [`/v2/models/:name${suffix}`, `/v2/models/:name/versions/:version${suffix}`]
}

export interface ModelParams {
  readonly name: string
  readonly version?: string
}

export function modelParams(request: FastifyRequest): ModelParams {
  return request.params as ModelParams
}

import { fastifyPlugin } from 'fastify-plugin'
import { HastenError } from '../../errors.ts'

/** How deep JSON of a request may nest; deeper is an attack or a mistake. */
const maxDepth = 32

declare module 'fastify' {
  interface FastifyRequest {
    /** The JSON body as it came, so that an error can name a line of it; empty where it was not JSON. */
    bodyText: string
  }
}

/** Reads JSON and nothing else, and refuses JSON that nests too deep before anything walks it recursively. */
export const bodyPlugin = fastifyPlugin(
  async (app) => {
    app.decorateRequest('bodyText', '')
    const parseJson = app.getDefaultJsonParser('error', 'error')
    app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
      const text = String(body)
      if (depthOf(text) > maxDepth) {
        done(new HastenError('invalid_request', `The body nests deeper than ${maxDepth} levels.`), undefined)
        return
      }
      request.bodyText = text
      void parseJson(request, text, done)
    })
    app.removeContentTypeParser('text/plain')
  },
  { name: 'body', fastify: '5.x', dependencies: ['errors'] },
)

/** Deepest nesting of brackets outside strings. */
export function depthOf(json: string): number {
  let depth = 0
  let deepest = 0
  let inString = false
  for (let i = 0; i < json.length; i += 1) {
    const character = json[i]
    if (inString) {
      if (character === '\\') i += 1
      else if (character === '"') inString = false
    } else if (character === '"') inString = true
    else if (character === '{' || character === '[') deepest = Math.max(deepest, (depth += 1))
    else if (character === '}' || character === ']') depth -= 1
  }
  return deepest
}

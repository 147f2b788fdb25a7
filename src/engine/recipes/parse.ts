import type { TSchema } from 'typebox'
import { Default, Errors } from 'typebox/value'
import { isMap, isNode, isScalar, LineCounter, parseDocument, type Document } from 'yaml'
import { HastenError, type ErrorItem } from '../../errors.ts'
import { isPassName, passSchemas } from '../passes/options/index.ts'
import { recipeOutlineSchema, type Recipe, type RecipeOutline, type RecipeStep } from './schema.ts'

const maxRecipeBytes = 64 * 1024

/** A value and, when it came from text, how to find the line of a pointer in it. */
interface Source {
  readonly value: unknown
  /** Pointer of the value in the text. */
  readonly base: string
  locate(pointer: string): { line?: number; column?: number }
}

/** The document that an object was read from, and where in it: faults are then named by their place there. */
export interface RecipeOrigin {
  readonly text: string
  readonly pointer: string
}

/**
 * Reads a recipe from JSON or YAML text, or from an object, and fills in the defaults of the options.
 * @param origin of an object, for the lines of its faults
 * @throws HastenError `recipe_invalid`; `errors` has a JSON Pointer for each fault, and for text its line and column
 */
export function parseRecipe(input: string | object, origin?: RecipeOrigin): Recipe {
  const source = typeof input === 'string' ? readText(input) : partOf(input, origin)
  refuse(source, checkSchema(recipeOutlineSchema, source.value, ''))
  const outline = source.value as RecipeOutline
  refuse(
    source,
    outline.steps.flatMap((step, index) => checkStep(step, `/steps/${index}`)),
  )
  const { name, description } = outline
  return {
    version: 1,
    ...(name === undefined ? {} : { name }),
    ...(description === undefined ? {} : { description }),
    steps: outline.steps.map(fillStep),
  }
}

function fillStep(step: RecipeOutline['steps'][number]): RecipeStep {
  const pass = step.pass as RecipeStep['pass']
  return { pass, options: fillDefaults(passSchemas[pass].options, step.options ?? {}) }
}

/** `options` with the defaults of `schema`, nested objects included; the argument is left as it was. */
export function fillDefaults(schema: TSchema, options: object): Record<string, unknown> {
  return Default(schema, structuredClone(options)) as Record<string, unknown>
}

function checkStep(step: RecipeOutline['steps'][number], pointer: string): ErrorItem[] {
  if (!isPassName(step.pass)) {
    const known = Object.keys(passSchemas).join(', ')
    return [{ pointer: `${pointer}/pass`, detail: `no pass is called '${step.pass}'; there are ${known}` }]
  }
  return checkSchema(passSchemas[step.pass].options, step.options ?? {}, `${pointer}/options`)
}

/** The faults of `value` by a JSON Schema, one per place: pointers below `pointer`, text that says what is allowed. */
function checkSchema(schema: TSchema, value: unknown, pointer: string): ErrorItem[] {
  const found = Errors(schema, value).flatMap((error) => describeFault(error, pointer))
  const first = new Map(found.map((item) => [`${item.pointer} ${item.detail}`, item]))
  return [...first.values()]
}

type Fault = ReturnType<typeof Errors>[number]
type Params = Readonly<Record<string, unknown>>

const describeByKeyword: Record<string, (params: Params, pointer: string) => string[]> = {
  // The schema `false` of each extra key already names its place.
  additionalProperties: () => [],
  boolean: (_params, pointer) => [`unknown key '${lastSegment(pointer)}'`],
  required: (params) => (params['requiredProperties'] as string[]).map((key) => `needs the key '${key}'`),
  enum: (params) => [`must be one of ${JSON.stringify(params['allowedValues'])}`],
  const: (params) => [`must be ${JSON.stringify(params['allowedValue'])}`],
}

function describeFault(fault: Fault, base: string): ErrorItem[] {
  const pointer = base + fault.instancePath
  const describe = describeByKeyword[fault.keyword] ?? (() => [fault.message])
  return describe(fault.params as Params, pointer).map((detail) => ({ pointer, detail }))
}

function refuse(source: Source, faults: readonly ErrorItem[]): void {
  const [first] = faults
  if (first === undefined) return
  const errors = faults.map(({ pointer, ...item }) => {
    const whole = source.base + pointer
    return { pointer: whole, ...item, ...source.locate(whole) }
  })
  const { line, pointer = '' } = errors[0] ?? {}
  const place = line === undefined ? pointer || 'the recipe' : `line ${line}, ${pointer || 'the recipe'}`
  throw new HastenError('recipe_invalid', `${place}: ${first.detail}`, { errors })
}

/** The document is read again, for its lines, only when there is a fault to name. */
function partOf(value: object, origin: RecipeOrigin | undefined): Source {
  if (origin === undefined) return { value, base: '', locate: () => ({}) }
  const { text, pointer: base } = origin
  if (Buffer.byteLength(text) > maxRecipeBytes) return { value, base, locate: () => ({}) }
  const lines = new LineCounter()
  let document: Document | undefined
  return {
    value,
    base,
    locate: (pointer) => locateIn((document ??= readDocument(text, lines)), lines, pointer),
  }
}

/** JSON is YAML, so one reader gives lines for both. No merge keys and no custom tags: a recipe is plain data. */
function readDocument(text: string, lineCounter: LineCounter): Document {
  return parseDocument(text, { lineCounter, schema: 'core', prettyErrors: false })
}

function readText(text: string): Source {
  if (Buffer.byteLength(text) > maxRecipeBytes) {
    throw new HastenError('recipe_invalid', `a recipe has at most ${maxRecipeBytes} bytes`)
  }
  const lines = new LineCounter()
  const document = readDocument(text, lines)
  const [syntax] = [...document.errors, ...document.warnings]
  if (syntax !== undefined) {
    const { line, col: column } = lines.linePos(syntax.pos[0])
    const detail = `line ${line}, column ${column}: ${syntax.message}`
    throw new HastenError('recipe_invalid', detail, {
      errors: [{ pointer: '', detail: syntax.message, line, column }],
    })
  }
  return { value: toPlain(document), base: '', locate: (pointer) => locateIn(document, lines, pointer) }
}

function toPlain(document: Document): unknown {
  try {
    return document.toJS({ maxAliasCount: 20 })
  } catch (cause) {
    throw new HastenError('recipe_invalid', 'the recipe has more aliases than a recipe needs', { cause })
  }
}

/** Line and column (from 1) of the key or item that a pointer names; of its parent where it is missing. */
function locateIn(document: Document, lines: LineCounter, pointer: string): { line?: number; column?: number } {
  const path = pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
  for (let depth = path.length; depth >= 0; depth -= 1) {
    const offset = offsetOf(document, path.slice(0, depth))
    if (offset === undefined) continue
    const { line, col: column } = lines.linePos(offset)
    return { line, column }
  }
  return {}
}

/** Where the key of a map pair starts, or the item of a sequence. */
function offsetOf(document: Document, path: readonly string[]): number | undefined {
  const last = path.at(-1)
  if (last === undefined) return isNode(document.contents) ? document.contents.range?.[0] : undefined
  const parent: unknown = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true)
  const key = isMap(parent)
    ? parent.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === last)?.key
    : undefined
  if (isScalar(key)) return key.range?.[0]
  const node: unknown = document.getIn(path, true)
  return isNode(node) ? node.range?.[0] : undefined
}

function lastSegment(pointer: string): string {
  return (pointer.split('/').at(-1) ?? '').replaceAll('~1', '/').replaceAll('~0', '~')
}

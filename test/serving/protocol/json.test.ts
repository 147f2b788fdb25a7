import { describe, expect, test } from 'vitest'
import { defaultLimits } from '../../../src/serving/limits.ts'
import { parseJsonObject } from '../../../src/serving/protocol/json.ts'

const parse = (text: string) => parseJsonObject(Buffer.from(text), defaultLimits)

/** With the numbers as arrays again, flat. */
function plain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if ('values' in value && value.values instanceof Float64Array) return [...value.values]
  if (Array.isArray(value)) return value.map(plain)
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item)]))
}

describe('parseJsonObject', () => {
  test.each([
    '{"inputs":[{"name":"x","data":[1,2,3]}]}',
    '{"inputs":[{"data":[1,2],"name":"x"},{ "data" : [ 3 ] , "name":"y"}],"id":"z"}',
    '{"id":"\\"data\\":[1]","inputs":[{"name":"a\\\\","data":["1","2"]}]}',
    '{"inputs":[{"name":"data","data":[0.5],"parameters":{"data":"[1]"}}]}',
    '{"inputs":[{"data":[1],"data":[2]}]}',
    '{"inputs":[{"\\u0064ata":[1]}]}',
    '{"data":[1],"inputs":[]}',
    '{"outputs":[{"name":"y"}],"inputs":[{"data":[true,false]}]}',
    '{"inputs":[{"data":"hasten:numbers:0"}]}',
    '{"inputs":{"data":[1]}}',
  ])('reads %s as JSON.parse does', (text) => {
    expect(plain(parse(text))).toEqual(JSON.parse(text))
  })

  test('makes no array of the numbers of a tensor', () => {
    const [input] = parse('{"inputs":[{"data":[[1,2],[3,4]]}]}').inputs as { data: unknown }[]
    expect(input?.data).toMatchObject({ values: Float64Array.of(1, 2, 3, 4), dims: [2, 2] })
  })

  test.each([
    ['{"inputs":[{"data":[1,2]}', 'after array element'],
    ['{"inputs":[{"data":[1,2] "name":1}]}', 'position 25'],
    ['{"inputs":[{"data":[1 2]}]}', 'position 22'],
    ['{"inputs":["data":[1]]}', 'position 17'],
    ['[1]', 'not an object'],
    ['{"a":"', 'malformed'],
  ])('says of %s what was sent', (text, words) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'invalid_request' }))
    expect(() => parse(text)).toThrow(words)
  })

  test('counts the nesting of numbers too', () => {
    const nested = (depth: number) => `{"inputs":[{"data":${'['.repeat(depth)}1${']'.repeat(depth)}}]}`
    const limit = defaultLimits.maxJsonDepth
    expect(() => parse(nested(limit - 3))).not.toThrow()
    expect(() => parse(nested(limit - 2))).toThrow(`nested deeper than ${limit} levels`)
  })

  test('refuses what is not UTF-8', () => {
    const bytes = Buffer.from('{"inputs":[{"data":[1],"name":"?"}]}')
    bytes[bytes.indexOf('?')] = 0xff
    expect(() => parseJsonObject(bytes, defaultLimits)).toThrow('not UTF-8')
  })
})

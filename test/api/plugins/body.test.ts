import { expect, it } from 'vitest'
import { depthOf } from '../../../src/api/plugins/body.ts'

it.each([
  ['1', 0],
  ['[]', 1],
  ['{"a":[{"b":1}],"c":[]}', 3],
  ['{"a":"[[[[","b":"\\"[[["}', 1],
  ['"\\\\"', 0],
  [`${'['.repeat(5000)}${']'.repeat(5000)}`, 5000],
])('counts the nesting of %.40s', (json, depth) => {
  expect(depthOf(json)).toBe(depth)
})

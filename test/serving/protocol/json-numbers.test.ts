import { describe, expect, test } from 'vitest'
import { scanNumbers } from '../../../src/serving/protocol/json-numbers.ts'

function scan(text: string, maxDepth = 10) {
  const found = scanNumbers(Buffer.from(text), 0, maxDepth)
  return found && { values: [...found.values], dims: found.dims, end: found.end }
}

describe('scanNumbers', () => {
  test.each([
    ['[]', [], [0]],
    ['[1]', [1], [1]],
    ['[1,2.5,-3]', [1, 2.5, -3], [3]],
    [' [1]'.trim(), [1], [1]],
    ['[ 1 ,\n2\t,\r3 ]', [1, 2, 3], [3]],
    ['[[1,2],[3,4],[5,6]]', [1, 2, 3, 4, 5, 6], [3, 2]],
    ['[ [ [1] , [2] ] ]', [1, 2], [1, 2, 1]],
    ['[[],[]]', [], [2, 0]],
  ])('reads %s', (text, values, dims) => {
    expect(scan(text)).toEqual({ values, dims, end: text.length })
  })

  test('ends at its own bracket', () => {
    expect(scan('[1,2],"x":[3]')).toEqual({ values: [1, 2], dims: [2], end: 5 })
  })

  test.each([
    ['lengths that differ', '[[1,2],[3]]'],
    ['lengths that differ further down', '[[[1],[2]],[[3]]]'],
    ['a number beside an array', '[[1],2]'],
    ['an array beside a number', '[1,[2]]'],
    ['an empty array beside a number', '[[],2]'],
    ['a number beside an empty array', '[1,[]]'],
    ['levels that differ', '[[1],[[2]]]'],
    ['an empty array where others have levels', '[[[1]],[]]'],
    ['a string', '["1"]'],
    ['true', '[1,true]'],
    ['null', '[null]'],
    ['NaN', '[NaN]'],
    ['an object', '[{}]'],
    ['a comma too many', '[1,]'],
    ['a comma too many between arrays', '[[1],]'],
    ['a comma too few', '[1 2]'],
    ['only a comma', '[,]'],
    ['no end', '[1,2'],
    ['no end after a comma', '[1,'],
    ['no end of an inner array', '[[1,2]'],
    ['more levels than are allowed', '[[[[1]]]]'],
  ])('leaves %s to the general parser', (_, text) => {
    expect(scan(text, 3)).toBeUndefined()
  })

  test('keeps every number of a long array', () => {
    const values = Array.from({ length: 10_000 }, (_, index) => index / 8)
    expect(scan(JSON.stringify(values))?.values).toEqual(values)
  })
})

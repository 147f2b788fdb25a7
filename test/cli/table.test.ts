import { expect, test } from 'vitest'
import { formatTable } from '../../src/cli/table.ts'

test('the first column is aligned to the left, the others to the right', () => {
  expect(
    formatTable(
      ['', 'before', 'after'],
      [
        ['p50', '12 ms', '3 ms'],
        ['size', '1 MB', '1000 MB'],
      ],
    ),
  ).toMatchInlineSnapshot(`
    "      before    after
    ----  ------  -------
    p50    12 ms     3 ms
    size    1 MB  1000 MB"
  `)
})

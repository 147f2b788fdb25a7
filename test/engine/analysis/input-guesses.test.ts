import { describe, expect, it } from 'vitest'

import { inputGuesses } from '../../../src/engine/analysis/input-guesses.ts'
import type { Dim } from '../../../src/engine/ir/value-type.ts'

function dimsGuessed(...inputs: Dim[][]) {
  const infos = inputs.map((dims, index) => ({ name: `i${index}`, dtype: 'float32' as const, dims }))
  return [...inputGuesses(infos)].map((guess) => guess.map(({ dims }) => dims))
}

describe('inputGuesses', () => {
  it('leaves the likeliest sizes to the generator, then tries long, large and single', () => {
    expect(dimsGuessed(['N', null], [2, null, 128])).toEqual([
      [
        ['N', null],
        [2, null, 128],
      ],
      [
        [1, 256],
        [2, 1, 128],
      ],
      [
        [1, 1024],
        [2, 1, 128],
      ],
      [
        [1, 224],
        [2, 224, 128],
      ],
      [
        [1, 1],
        [2, 1, 128],
      ],
    ])
  })

  it('has one guess for a model that leaves nothing open', () => {
    expect(dimsGuessed([1, 3, 224, 224], [])).toEqual([[[1, 3, 224, 224], []]])
  })

  it('does not repeat a guess', () => {
    expect(dimsGuessed(['N', 4])).toEqual([[['N', 4]], [[1, 4]]])
  })
})

import { expect, it } from 'vitest'
import { pairFastest, type Candidate } from '../../../bench/matrix/choose.ts'

const candidate = (name: string, score: number, leastMs: number): Candidate => ({ name, path: name, score, leastMs })
const original = candidate('original', 1, 10)
const namesOf = (theirs: Candidate[], ours: Candidate[], floor = 0.95) => {
  const pair = pairFastest(original, theirs, ours, floor)
  return [pair.theirs.name, pair.ours.name]
}

it('compares the fastest of theirs with the fastest of ours that agrees as well', () => {
  const theirs = [candidate('a', 0.97, 5), candidate('b', 0.99, 6), candidate('broken', 0.5, 1)]
  const ours = [candidate('c', 0.96, 3), candidate('d', 0.97, 4), candidate('e', 0.999, 7)]
  expect(namesOf(theirs, ours)).toEqual(['a', 'd'])
})

it('keeps the original where nothing is faster or agrees', () => {
  expect(namesOf([candidate('slow', 1, 12)], [candidate('rough', 0.99, 2), candidate('slow', 1, 11)])).toEqual([
    'original',
    'original',
  ])
  expect(namesOf([], [candidate('lossless', 1, 9)])).toEqual(['original', 'lossless'])
})

it('takes a result that only rounding tells from the original as equal to it', () => {
  expect(namesOf([], [candidate('lossless', 1 - 1e-8, 9), candidate('rough', 0.9999, 1)])).toEqual([
    'original',
    'lossless',
  ])
})

import type { TensorInfo } from '../runtime/port.ts'

/** The size of a dim that a model leaves open; undefined leaves it to the generator of inputs. */
type Guess = (axis: number, rank: number) => number | undefined

// Sound and text models fold or pad their last axis and refuse short ones; image models halve theirs many times;
// and some only take the size they were traced with, often 1.
const guesses: readonly Guess[] = [
  () => undefined,
  longLast(256),
  longLast(1024),
  (axis) => (axis === 0 ? 1 : 224),
  () => 1,
]

function longLast(size: number): Guess {
  return (axis, rank) => (axis > 0 && axis === rank - 1 ? size : 1)
}

/** The inputs of a model with their open dims sized in different ways, the likeliest first, no two the same. */
export function* inputGuesses(inputs: readonly TensorInfo[]): Iterable<readonly TensorInfo[]> {
  const seen = new Set<string>()
  for (const guess of guesses) {
    const sized = inputs.map((input) => resize(input, guess))
    const key = JSON.stringify(sized)
    if (!seen.has(key)) yield sized
    seen.add(key)
  }
}

function resize(input: TensorInfo, guess: Guess): TensorInfo {
  const dims = input.dims.map((dim, axis) => (typeof dim === 'number' ? dim : (guess(axis, input.dims.length) ?? dim)))
  return { ...input, dims }
}

/**
 * What a class loses that has as many votes as the one the first version chose: enough to show in every float type, so
 * that the largest share is that of the winner.
 */
const tieLoss = 1 / 128

/**
 * The share of each class in the votes. Of equal ones the one that was named first wins.
 * @param votes a class for each voter; -1 for none
 */
export function weighedVotes(votes: readonly number[], weights: readonly number[], classes: number): Float64Array {
  const shares = new Float64Array(classes)
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  for (const [voter, vote] of votes.entries()) {
    if (vote >= 0) shares[vote] = (shares[vote] ?? 0) + (weights[voter] ?? 0) / total
  }
  const most = Math.max(...shares)
  const winner = votes.find((vote) => vote >= 0 && shares[vote] === most)
  return shares.map((share, index) => (share === most && index !== winner ? share * (1 - tieLoss) : share))
}

/** For each place the element that most voters have there; of equal ones the one that was named first. */
export function majorityOf<T>(
  voters: readonly (readonly T[])[],
  weights: readonly number[],
  keyOf: (element: T) => string,
): T[] {
  return (voters[0] ?? []).map((first, place) => {
    const votes = new Map<string, { readonly element: T; count: number }>()
    for (const [voter, elements] of voters.entries()) {
      const element = elements[place] ?? first
      const key = keyOf(element)
      const entry = votes.get(key) ?? { element, count: 0 }
      entry.count += weights[voter] ?? 0
      votes.set(key, entry)
    }
    return [...votes.values()].reduce((best, entry) => (entry.count > best.count ? entry : best)).element
  })
}

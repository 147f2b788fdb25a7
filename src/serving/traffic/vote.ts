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
  const most = shares.reduce((largest, share) => Math.max(largest, share), 0)
  const winner = votes.find((vote) => vote >= 0 && shares[vote] === most)
  return shares.map((share, index) => (share === most && index !== winner ? share * (1 - tieLoss) : share))
}

/**
 * The voter whose element most have; of equal ones the first.
 * @param isSame whether two voters have the same
 */
export function majorityVoter(weights: readonly number[], isSame: (a: number, b: number) => boolean): number {
  let best = { voter: 0, votes: -1 }
  for (let voter = 0; voter < weights.length; voter++) {
    let votes = 0
    for (let other = 0; other < weights.length; other++) votes += isSame(voter, other) ? (weights[other] ?? 0) : 0
    if (votes > best.votes) best = { voter, votes }
  }
  return best.voter
}

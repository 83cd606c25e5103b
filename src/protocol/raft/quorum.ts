/** A quorum is a set of voters large enough that any two of them share a member. */

import { assert } from '../../base/assert.ts'
import type { NodeId } from '../../base/identity.ts'
import type { LogIndex } from '../core.ts'

export type VoteResult = 'won' | 'lost' | 'pending'

/**
 * The voters of a Raft group. While a change of members is under way there are two sets (joint consensus, Raft thesis
 * §4.3), and a decision needs a majority of each; otherwise `outgoing` is empty.
 *
 * Invariant: `incoming` is never empty.
 * Invariant: both sets are free of duplicates.
 */
export interface Voters {
  readonly incoming: readonly NodeId[]
  readonly outgoing: readonly NodeId[]
}

export function checkVoters(voters: Voters): void {
  assert(voters.incoming.length > 0, 'a group has at least one voter')
  assert(isSet(voters.incoming) && isSet(voters.outgoing), 'a voter has one vote')
}

export function isVoter(voters: Voters, node: NodeId): boolean {
  return voters.incoming.includes(node) || voters.outgoing.includes(node)
}

/**
 * The highest index that a quorum has reached: on disk for a commit, in rounds for a read.
 *
 * @param reached highest index that a voter has confirmed; 0 for one that has not been heard
 */
export function committedIndex(voters: Voters, reached: (voter: NodeId) => LogIndex): LogIndex {
  const incoming = majorityIndex(voters.incoming, reached)
  return voters.outgoing.length === 0 ? incoming : Math.min(incoming, majorityIndex(voters.outgoing, reached))
}

/** What an election has come to, given the votes so far; a voter that has not answered yields `undefined`. */
export function countVotes(voters: Voters, vote: (voter: NodeId) => boolean | undefined): VoteResult {
  const incoming = countMajority(voters.incoming, vote)
  if (voters.outgoing.length === 0) return incoming
  const outgoing = countMajority(voters.outgoing, vote)
  if (incoming === 'lost' || outgoing === 'lost') return 'lost'
  return incoming === 'won' && outgoing === 'won' ? 'won' : 'pending'
}

/** Quadratic in a handful of voters and free of allocation: it runs on every acknowledgement. */
function majorityIndex(voters: readonly NodeId[], reached: (voter: NodeId) => LogIndex): LogIndex {
  const needed = majorityOf(voters.length)
  let best = 0
  for (const voter of voters) {
    const index = reached(voter)
    if (index > best && countReached(voters, reached, index) >= needed) best = index
  }
  return best
}

function countReached(voters: readonly NodeId[], reached: (voter: NodeId) => LogIndex, index: LogIndex): number {
  let count = 0
  for (const voter of voters) if (reached(voter) >= index) count++
  return count
}

function countMajority(voters: readonly NodeId[], vote: (voter: NodeId) => boolean | undefined): VoteResult {
  const needed = majorityOf(voters.length)
  let granted = 0
  let refused = 0
  for (const voter of voters) {
    const answer = vote(voter)
    if (answer === true) granted++
    else if (answer === false) refused++
  }
  if (granted >= needed) return 'won'
  return voters.length - refused < needed ? 'lost' : 'pending'
}

function majorityOf(count: number): number {
  return Math.floor(count / 2) + 1
}

function isSet(nodes: readonly NodeId[]): boolean {
  return new Set(nodes).size === nodes.length
}

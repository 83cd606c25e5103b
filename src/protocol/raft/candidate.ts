/** A candidate asks for votes: first whether it would get them (pre-vote, thesis §9.6), then for the votes themselves. */

import type { NodeId } from '../../base/identity.ts'
import type { Term } from '../core.ts'
import { becomeLeader } from './leader.ts'
import type { PreVoteReply, RaftMessage, VoteReply } from './message.ts'
import { countVotes } from './quorum.ts'
import type { Replica } from './replica.ts'

/** Asks around without changing anybody's term, so that a replica that was cut off disrupts nobody. */
export function startPreVote(replica: Replica): void {
  if (!replica.isPromotable) return
  replica.changeRole('pre-candidate', undefined)
  replica.awaitCampaign()
  replica.votes.set(replica.self, true)
  const request: RaftMessage = { type: 'pre-vote', term: replica.term + 1, last: replica.log.last }
  for (const voter of otherVoters(replica)) replica.outbox.send(voter, request)
  countPreVotes(replica)
}

/** Opens a new term and asks for its votes; `transfer` tells that the old leader wants it. */
export function startVote(replica: Replica, transfer: boolean): void {
  if (!replica.isPromotable) return
  replica.setHardState(replica.term + 1, replica.self)
  replica.changeRole('candidate', undefined)
  replica.awaitCampaign()
  replica.outbox.event({ type: 'voted', term: replica.term, candidate: replica.self })
  const request: RaftMessage = { type: 'vote', term: replica.term, last: replica.log.last, transfer }
  // The own vote must be on disk before it counts; nobody can answer before that.
  for (const voter of otherVoters(replica)) replica.outbox.sendAfterPersist(voter, request)
}

/** A candidate whose own vote is still on its way to the disk has asked nobody: to begin anew would only be later. */
export function isAwaitingOwnVote(replica: Replica): boolean {
  return replica.role === 'candidate' && !replica.votes.has(replica.self)
}

/** All that was written in this term is on disk. The own vote counts once it is; a vote of an earlier campaign never does. */
export function candidatePersisted(replica: Replica, term: Term): void {
  if (replica.role !== 'candidate' || term !== replica.term) return
  replica.votes.set(replica.self, true)
  countElection(replica)
}

export function onPreVoteReply(replica: Replica, from: NodeId, reply: PreVoteReply): void {
  const expected = reply.granted ? replica.term + 1 : replica.term
  if (replica.role !== 'pre-candidate' || reply.term > expected) return
  if (reply.granted && reply.term !== expected) return
  replica.votes.set(from, reply.granted)
  countPreVotes(replica)
}

export function onVoteReply(replica: Replica, from: NodeId, reply: VoteReply): void {
  if (replica.role !== 'candidate') return
  replica.votes.set(from, reply.granted)
  countElection(replica)
}

function countPreVotes(replica: Replica): void {
  const result = countVotes(replica.configuration, (voter) => replica.votes.get(voter))
  if (result === 'won') startVote(replica, false)
  else if (result === 'lost') giveUp(replica)
}

function countElection(replica: Replica): void {
  const result = countVotes(replica.configuration, (voter) => replica.votes.get(voter))
  if (result === 'won') becomeLeader(replica)
  else if (result === 'lost') giveUp(replica)
}

function giveUp(replica: Replica): void {
  replica.becomeFollower(replica.term, undefined)
  replica.awaitCampaign()
}

function otherVoters(replica: Replica): readonly NodeId[] {
  const { incoming, outgoing } = replica.configuration
  return [...new Set([...incoming, ...outgoing])].filter((voter) => voter !== replica.self)
}

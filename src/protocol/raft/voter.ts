/** A voter answers those who ask to lead: at most one a term, none whose log lacks something, none while a leader lives. */

import type { NodeId } from '../../base/identity.ts'
import type { PreVote, Vote } from './message.ts'
import type { Replica } from './replica.ts'

/** Says how it would vote; nothing changes. */
export function onPreVote(replica: Replica, from: NodeId, message: PreVote): void {
  // A leader that campaigns for a later term leads no longer, however alive its node is.
  if (message.term > replica.term && replica.leader === from) replica.becomeFollower(replica.term, undefined)
  const granted = message.term > replica.term && !replica.hasLiveLeader() && replica.log.isCoveredBy(message.last)
  const term = granted ? message.term : replica.term
  replica.outbox.send(from, { type: 'pre-vote-reply', term, granted })
  // The asker may not know that it has a leader; if it is in a later term, its answer makes the leader step down.
  const peer = granted ? undefined : replica.leadership?.peer(from)
  if (peer !== undefined) peer.heartbeatDue = peer.connected = true
}

/** Whether a vote of a later term must not even be looked at: it would depose a leader that is alive (thesis §4.2.3). */
export function isDisruptive(replica: Replica, from: NodeId, message: Vote): boolean {
  return !message.transfer && replica.leader !== from && replica.hasLiveLeader()
}

/** Votes in this term. */
export function onVote(replica: Replica, from: NodeId, message: Vote): void {
  const free = replica.vote === from || (replica.vote === undefined && replica.leader === undefined)
  const granted = free && replica.log.isCoveredBy(message.last)
  if (!granted) {
    replica.outbox.send(from, { type: 'vote-reply', term: replica.term, granted })
    return
  }
  if (replica.vote !== from) {
    replica.setHardState(replica.term, from)
    replica.outbox.event({ type: 'voted', term: replica.term, candidate: from })
  }
  replica.awaitElection()
  replica.outbox.sendAfterPersist(from, { type: 'vote-reply', term: replica.term, granted })
}

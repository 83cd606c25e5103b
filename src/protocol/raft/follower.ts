/** A follower keeps its log equal to its leader's, and campaigns when the leader is no longer there. */

import type { NodeId } from '../../base/identity.ts'
import type { LogIndex, LogPosition } from '../core.ts'
import { isAwaitingOwnVote, startPreVote, startVote } from './candidate.ts'
import type { Append, Heartbeat, RaftMessage, RaftRequest, ReadIndexReply } from './message.ts'
import type { Replica } from './replica.ts'

/** A message of this term to one that does not lead. */
export function followerReceives(replica: Replica, from: NodeId, message: RaftMessage): void {
  switch (message.type) {
    case 'append':
      onAppend(replica, from, message)
      break
    case 'heartbeat':
      onHeartbeat(replica, from, message)
      break
    case 'read-index':
      replica.outbox.send(from, { type: 'read-index-reply', term: replica.term, id: message.id, index: 0 })
      break
    case 'read-index-reply':
      onReadIndexReply(replica, message)
      break
    case 'timeout-now':
      startVote(replica, true)
      break
    default:
  }
}

/** What the node asks of a replica that does not lead. */
export function followerSubmits(replica: Replica, request: RaftRequest): void {
  switch (request.type) {
    case 'propose':
      replica.refuse(request.id, 'not-leader')
      break
    case 'read':
      if (replica.leader === undefined) replica.refuse(request.id, 'not-leader')
      else if (!replica.reads.add(request.id)) replica.refuse(request.id, 'overloaded')
      break
    case 'campaign':
      startPreVote(replica)
      break
    case 'unreachable':
      if (request.node === replica.leader) onLeaderLost(replica)
      break
    default:
  }
}

/** At its deadline a follower trusts its leader for as long as the leader's node was heard of in time. */
export function followerWakes(replica: Replica): void {
  const { now } = replica
  for (const id of replica.reads.takeExpired(now)) replica.refuse(id, 'leadership-lost')
  if (now < replica.electionAt) return
  const trustedUntil = replica.leaderSeenAt() + replica.patience
  if (trustedUntil > now) replica.electionAt = trustedUntil
  else if (isAwaitingOwnVote(replica)) replica.awaitCampaign()
  else startPreVote(replica)
}

/** Completes the turn: one question for all its reads. */
export function followerFlushes(replica: Replica): void {
  const { reads, leader } = replica
  if (!reads.hasTurn || leader === undefined) return
  const id = reads.ask(replica.now + replica.timing.electionTimeoutMs)
  replica.outbox.send(leader, { type: 'read-index', term: replica.term, id })
}

type Installation = Extract<RaftRequest, { readonly type: 'install-snapshot' }>

export function onInstallSnapshot(replica: Replica, request: Installation): void {
  const { position, from, term } = request
  if (term < replica.term) return
  if (term > replica.term) replica.becomeFollower(term, from)
  if (replica.role === 'leader') return
  replica.heardLeader(from)
  if (replica.log.holds(position)) replica.commitTo(position.index)
  else if (position.index > replica.commit) install(replica, request)
  acknowledge(replica, from, replica.commit)
}

function install(replica: Replica, { position, chain, configuration }: Installation): void {
  replica.log.reset(position)
  replica.configuration = configuration
  replica.persistedIndex = position.index
  replica.outbox.writeSnapshot(position, chain)
  replica.outbox.output({ type: 'restore', position })
  replica.commitTo(position.index)
}

function onAppend(replica: Replica, from: NodeId, message: Append): void {
  replica.heardLeader(from)
  const { previous, entries } = message
  if (previous.index < replica.commit) {
    // A late one: what is committed here equals the leader's log.
    acknowledge(replica, from, replica.commit)
  } else if (!replica.log.holds(previous)) {
    refuseAppend(replica, from, previous)
  } else {
    merge(replica, message)
    const match = previous.index + entries.length
    replica.commitTo(Math.min(message.commit, match))
    acknowledge(replica, from, match)
  }
}

/** Entries that are here already are kept: an old append must not cut off what a newer one has brought. */
function merge(replica: Replica, message: Append): void {
  for (const entry of message.entries) {
    if (replica.log.holds(entry)) continue
    if (entry.index <= replica.log.lastIndex) replica.truncate(entry.index - 1)
    replica.append(entry)
  }
}

function acknowledge(replica: Replica, to: NodeId, match: LogIndex): void {
  const { term, commit } = replica
  const reply = { type: 'append-reply', term, accepted: true, match, refused: 0, matchTerm: 0, commit } as const
  replica.outbox.sendAfterPersist(to, reply)
}

/** The leader's next guess skips every entry here of a term that the leader's log can't have there. */
function refuseAppend(replica: Replica, to: NodeId, previous: LogPosition): void {
  const { log, term, commit } = replica
  const match = log.lastIndexWithin(previous.index, previous.term)
  const matchTerm = log.termAt(match) ?? 0
  const refused = previous.index
  replica.outbox.send(to, { type: 'append-reply', term, accepted: false, match, refused, matchTerm, commit })
}

function onHeartbeat(replica: Replica, from: NodeId, message: Heartbeat): void {
  replica.heardLeader(from)
  const { lastIndex } = replica.log
  if (message.commit > lastIndex) replica.outbox.event({ type: 'forgot', confirmed: message.commit, last: lastIndex })
  replica.commitTo(Math.min(message.commit, lastIndex))
  const { term, commit } = replica
  replica.outbox.send(from, { type: 'heartbeat-reply', term, round: message.round, commit })
}

function onReadIndexReply(replica: Replica, message: ReadIndexReply): void {
  for (const id of replica.reads.takeAnswered(message.id)) {
    if (message.index === 0) replica.refuse(id, 'not-leader')
    else replica.outbox.output({ type: 'readable', id, index: message.index })
  }
}

/** Pre-vote keeps a false alarm harmless, so that the wait can be short. */
function onLeaderLost(replica: Replica): void {
  replica.leaderLost = true
  if (replica.isPromotable) replica.electionAt = replica.now + replica.timing.lostLeaderMs * replica.random.next()
}

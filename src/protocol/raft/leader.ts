/** The leader orders the group's entries, answers for its reads, and steps down when it can't know that it still leads. */

import { assert } from '../../base/assert.ts'
import type { NodeId } from '../../base/identity.ts'
import type { Millis } from '../../base/time.ts'
import { Leadership } from './leadership.ts'
import type { EntryKind, RaftMessage, RaftRequest } from './message.ts'
import { Progress } from './progress.ts'
import { committedIndex } from './quorum.ts'
import type { PendingRead } from './read.ts'
import type { Replica } from './replica.ts'
import {
  commitByCounting,
  feedPeers,
  onAppendReply,
  onHeartbeatReply,
  owesAnybody,
  repeatUnconfirmed,
} from './replication.ts'
import { continueTransfer, expireTransfer, startTransfer } from './transfer.ts'

type Proposal = Extract<RaftRequest, { readonly type: 'propose' }>

const EMPTY_PAYLOAD = new Uint8Array(0)

export function becomeLeader(replica: Replica): void {
  const { log, now, timing, configuration } = replica
  assert(replica.role === 'candidate', 'only a candidate is elected')
  const opening = log.lastIndex + 1
  const nodes = new Set([...configuration.incoming, ...configuration.outgoing, ...configuration.learners])
  nodes.delete(replica.self)
  const peers = [...nodes].map((node) => new Progress(node, opening, now))
  replica.leadership = new Leadership(peers, opening, now + timing.electionTimeoutMs)
  replica.changeRole('leader', replica.self)
  appendOwn(replica, 'empty', EMPTY_PAYLOAD)
}

/** A message of this term to its leader. */
export function leaderReceives(replica: Replica, leadership: Leadership, from: NodeId, message: RaftMessage): void {
  switch (message.type) {
    case 'append-reply':
      onAppendReply(replica, leadership, from, message)
      continueTransferTo(replica, leadership, from)
      break
    case 'heartbeat-reply':
      onHeartbeatReply(replica, leadership, from, message)
      answerReads(replica, leadership)
      break
    case 'read-index':
      acceptRead(replica, leadership, { id: message.id, from })
      break
    case 'append':
    case 'heartbeat':
      assert(false, 'a term has one leader')
      break
    default:
  }
}

/** What the node asks of a leader. */
export function leaderSubmits(replica: Replica, leadership: Leadership, request: RaftRequest): void {
  switch (request.type) {
    case 'propose':
      propose(replica, leadership, request)
      break
    case 'read':
      acceptRead(replica, leadership, { id: request.id, from: undefined })
      break
    case 'transfer':
      startTransfer(replica, leadership, request.to)
      break
    case 'snapshot-sent':
      onSnapshotSent(replica, leadership.peer(request.to), request.delivered)
      break
    case 'unreachable':
      leadership.peer(request.node)?.disconnect(replica.now)
      break
    case 'reachable':
      onReachable(leadership, request.node)
      break
    default:
  }
}

export function leaderWakes(replica: Replica, leadership: Leadership): void {
  const { now, timing } = replica
  if (now >= leadership.quorumAt) {
    if (!replica.hasActiveQuorum(leadership)) {
      replica.becomeFollower(replica.term, undefined)
      return
    }
    leadership.quorumAt = now + timing.electionTimeoutMs
    reviewConnections(replica, leadership)
  }
  expireTransfer(replica, leadership)
  if (now >= leadership.heartbeatAt) {
    const busy = repeatUnconfirmed(replica, leadership)
    leadership.heartbeatAt = busy ? nextBeat(replica) : Infinity
  }
}

/** The leader's own disk caught up. */
export function leaderPersisted(replica: Replica, leadership: Leadership): void {
  commitByCounting(replica, leadership)
}

/** Completes the turn: one round for its reads, one range of entries for each peer. */
export function leaderFlushes(replica: Replica, leadership: Leadership): void {
  const { reads } = leadership
  if (reads.hasTurn && replica.commit >= leadership.opening) {
    reads.open(replica.commit)
    for (const peer of leadership.peers) peer.heartbeatDue = true
    answerReads(replica, leadership)
  }
  feedPeers(replica, leadership)
  if (!owesAnybody(replica, leadership)) leadership.heartbeatAt = Infinity
  else if (leadership.heartbeatAt === Infinity) leadership.heartbeatAt = nextBeat(replica)
}

export function leaderWakeAt(leadership: Leadership): Millis {
  return Math.min(leadership.heartbeatAt, leadership.quorumAt, leadership.transfer?.deadline ?? Infinity)
}

/** All groups that a node leads beat together, so that one frame carries what they say to a peer. */
function nextBeat({ now, timing }: Replica): Millis {
  return (Math.floor(now / timing.heartbeatMs) + 1) * timing.heartbeatMs
}

function propose(replica: Replica, leadership: Leadership, request: Proposal): void {
  const { id, kind, payload } = request
  // What others have confirmed is committed; while the own disk has not, it stays in memory all the same.
  const pending = replica.log.bytes(Math.min(replica.commit, replica.persistedIndex), replica.log.lastIndex)
  if (leadership.transfer !== undefined) {
    replica.refuse(id, 'transferring')
  } else if (pending > 0 && pending + payload.length > replica.limits.uncommittedBytes) {
    replica.refuse(id, 'overloaded')
  } else {
    appendOwn(replica, kind, payload)
    replica.outbox.output({ type: 'proposed', id, position: replica.log.last })
  }
}

function appendOwn(replica: Replica, kind: EntryKind, payload: Uint8Array): void {
  replica.append({ index: replica.log.lastIndex + 1, term: replica.term, kind, payload })
}

function acceptRead(replica: Replica, leadership: Leadership, read: PendingRead): void {
  if (leadership.reads.add(read)) return
  if (read.from === undefined) replica.refuse(read.id, 'overloaded')
  else replica.outbox.send(read.from, { type: 'read-index-reply', term: replica.term, id: read.id, index: 0 })
}

/** Rounds that a quorum has confirmed prove that no later leader had been elected when they began. */
function answerReads(replica: Replica, leadership: Leadership): void {
  const { reads } = leadership
  if (!reads.isWaiting) return
  const confirmedBy = (voter: NodeId): number =>
    voter === replica.self ? reads.newest : (leadership.peer(voter)?.round ?? 0)
  for (const round of reads.takeConfirmed(committedIndex(replica.configuration, confirmedBy))) {
    for (const read of round.reads) answerRead(replica, read, round.index)
  }
}

function answerRead(replica: Replica, read: PendingRead, index: number): void {
  if (read.from === undefined) replica.outbox.output({ type: 'readable', id: read.id, index })
  else replica.outbox.send(read.from, { type: 'read-index-reply', term: replica.term, id: read.id, index })
}

function continueTransferTo(replica: Replica, leadership: Leadership, from: NodeId): void {
  if (leadership.transfer?.to === from) continueTransfer(replica, leadership)
}

function onSnapshotSent(replica: Replica, peer: Progress | undefined, delivered: boolean): void {
  if (peer?.state !== 'snapshot') return
  if (delivered) peer.snapshotSentAt = replica.now
  else peer.snapshotFailed()
}

function onReachable(leadership: Leadership, node: NodeId): void {
  const peer = leadership.peer(node)
  if (peer === undefined) return
  peer.connected = true
  peer.heartbeatDue = true
  if (peer.state === 'probe') peer.probing = false
}

/** Talks to nobody who was silent for an election timeout, until there is a sign of life, whatever the node said or missed. */
function reviewConnections(replica: Replica, leadership: Leadership): void {
  const since = replica.now - replica.timing.electionTimeoutMs
  for (const peer of leadership.peers) {
    const seenAt = Math.max(peer.heardAt, replica.liveness.lastHeard(peer.node))
    if (!peer.connected && seenAt > peer.lostAt) onReachable(leadership, peer.node)
    else if (peer.connected && seenAt <= since) peer.disconnect(replica.now)
  }
}

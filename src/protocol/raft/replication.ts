/** Replication feeds each peer the leader's log and counts who has what on disk. */

import { required } from '../../base/assert.ts'
import type { NodeId } from '../../base/identity.ts'
import type { LogIndex } from '../core.ts'
import type { Leadership } from './leadership.ts'
import type { AppendReply, HeartbeatReply } from './message.ts'
import type { Progress } from './progress.ts'
import { committedIndex } from './quorum.ts'
import type { Replica } from './replica.ts'

/**
 * Heartbeats without any acknowledgement after which appends under way are taken for lost. A peer acknowledges after
 * its fsync but answers heartbeats at once, so one heartbeat would mistake a slow disk for a lost message.
 */
const STALLED_HEARTBEATS = 4

/** Sends what is new, what is due, and nothing else; called once per turn. */
export function feedPeers(replica: Replica, leadership: Leadership): void {
  for (const peer of leadership.peers) {
    if (!peer.connected) continue
    feed(replica, peer)
    if (peer.heartbeatDue) sendHeartbeat(replica, leadership, peer)
  }
}

export function onAppendReply(replica: Replica, leadership: Leadership, from: NodeId, reply: AppendReply): void {
  const peer = heard(replica, leadership, from)
  if (peer === undefined) return
  const state = peer.state
  peer.commit = reply.commit
  if (reply.accepted) {
    if (peer.accept(reply.match, replica.now)) commitByCounting(replica, leadership)
  } else {
    peer.refuse(reply.refused, replica.log.lastIndexWithin(reply.match, reply.matchTerm))
  }
  reportChange(replica, peer, state)
}

export function onHeartbeatReply(replica: Replica, leadership: Leadership, from: NodeId, reply: HeartbeatReply): void {
  const peer = heard(replica, leadership, from)
  if (peer === undefined) return
  const state = peer.state
  peer.commit = reply.commit
  peer.round = Math.max(peer.round, reply.round)
  if (hasStalled(replica, peer)) peer.probeFrom(peer.match + 1)
  if (peer.state === 'snapshot') checkSnapshot(replica, peer)
  reportChange(replica, peer, state)
}

/** The highest entry of the own term that a quorum has on disk is committed, and all before it (Raft paper, figure 8). */
export function commitByCounting(replica: Replica, leadership: Leadership): void {
  const index = committedIndex(replica.configuration, (voter) => persistedBy(replica, leadership, voter))
  if (index > replica.commit && replica.log.termAt(index) === replica.term) replica.commitTo(index)
}

/** Marks everybody who has not confirmed everything for another word. True if there is anybody. */
export function repeatUnconfirmed(replica: Replica, leadership: Leadership): boolean {
  let any = false
  for (const peer of leadership.peers) {
    if (!isOwed(replica, leadership, peer)) continue
    any = true
    if (peer.state === 'probe') peer.probing = false
    if (peer.state !== 'probe' || leadership.reads.isWaiting) peer.heartbeatDue = true
  }
  return any
}

/** Whether the leader has to go on talking: some peer within reach has not confirmed everything. */
export function owesAnybody(replica: Replica, leadership: Leadership): boolean {
  for (const peer of leadership.peers) if (isOwed(replica, leadership, peer)) return true
  return false
}

function isOwed(replica: Replica, leadership: Leadership, peer: Progress): boolean {
  if (!peer.connected) return false
  return leadership.reads.isWaiting || !peer.isConfirmed(replica.log.lastIndex, replica.commit)
}

function heard(replica: Replica, leadership: Leadership, from: NodeId): Progress | undefined {
  const peer = leadership.peer(from)
  if (peer === undefined) return undefined
  peer.heardAt = replica.now
  peer.connected = true
  return peer
}

function persistedBy(replica: Replica, leadership: Leadership, voter: NodeId): LogIndex {
  return voter === replica.self ? replica.persistedIndex : (leadership.peer(voter)?.match ?? 0)
}

function hasStalled(replica: Replica, peer: Progress): boolean {
  if (peer.state !== 'replicate' || peer.next - 1 <= peer.match) return false
  return replica.now - peer.advancedAt > STALLED_HEARTBEATS * replica.timing.heartbeatMs
}

/** The acknowledgement of a snapshot may be lost, and so may the snapshot between its arrival and its installation. */
function checkSnapshot(replica: Replica, peer: Progress): void {
  if (peer.commit >= peer.snapshotIndex) peer.probeFrom(peer.commit + 1)
  else if (replica.now - peer.snapshotSentAt > replica.timing.electionTimeoutMs) peer.snapshotFailed()
}

function feed(replica: Replica, peer: Progress): void {
  if (peer.state === 'snapshot' || (peer.state === 'probe' && peer.probing)) return
  if (peer.next <= replica.log.snapshotIndex) {
    askForSnapshot(replica, peer)
  } else if (peer.state === 'probe') {
    sendRange(replica, peer, replica.log.rangeEnd(peer.next, replica.limits.appendBytes))
    peer.probing = true
  } else {
    fillWindow(replica, peer)
  }
}

function fillWindow(replica: Replica, peer: Progress): void {
  const { log, limits } = replica
  if (peer.next > log.lastIndex) return
  if (peer.next - 1 <= peer.match) peer.advancedAt = replica.now
  while (peer.next <= log.lastIndex && peer.inflightBytes(log) < limits.inflightBytes) {
    const until = log.rangeEnd(peer.next, limits.appendBytes)
    sendRange(replica, peer, until)
    peer.next = until
  }
}

function sendRange(replica: Replica, peer: Progress, until: LogIndex): void {
  const { log, term, commit } = replica
  const previousTerm = required(log.termAt(peer.next - 1), 'the entry before a range')
  const previous = { index: peer.next - 1, term: previousTerm }
  replica.outbox.output({ type: 'send-entries', to: peer.node, term, previous, from: peer.next, until, commit })
}

function askForSnapshot(replica: Replica, peer: Progress): void {
  peer.awaitSnapshot(replica.log.snapshotIndex)
  replica.outbox.output({ type: 'send-snapshot', to: peer.node, term: replica.term })
  replica.outbox.event({ type: 'progress', peer: peer.node, state: 'snapshot' })
}

function sendHeartbeat(replica: Replica, leadership: Leadership, peer: Progress): void {
  peer.heartbeatDue = false
  const commit = Math.min(peer.match, replica.commit)
  replica.outbox.send(peer.node, { type: 'heartbeat', term: replica.term, commit, round: leadership.reads.newest })
}

function reportChange(replica: Replica, peer: Progress, before: Progress['state']): void {
  if (peer.state !== before) replica.outbox.event({ type: 'progress', peer: peer.node, state: peer.state })
}

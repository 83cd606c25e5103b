/** Raft agrees on one log among replicas of which a minority may fail (Ongaro, "Consensus: bridging theory and practice"). */

import { malformed } from '../../base/bytes.ts'
import type { NodeId } from '../../base/identity.ts'
import type { Millis } from '../../base/time.ts'
import type { Core, LogIndex, LogPosition, Term, Written } from '../core.ts'
import { candidatePersisted, onPreVoteReply, onVoteReply } from './candidate.ts'
import type { RaftStart } from './config.ts'
import { contradictionOf, mayLead } from './contradiction.ts'
import { followerFlushes, followerReceives, followerSubmits, followerWakes, onInstallSnapshot } from './follower.ts'
import { leaderFlushes, leaderPersisted, leaderReceives, leaderSubmits, leaderWakeAt, leaderWakes } from './leader.ts'
import type { Configuration, RaftEvent, RaftMessage, RaftOutput, RaftRequest, RaftWrite, Role } from './message.ts'
import type { ProgressState } from './progress.ts'
import type { RaftReady } from './ready.ts'
import { Replica } from './replica.ts'
import { isDisruptive, onPreVote, onVote } from './voter.ts'

/** What a leader knows of one peer, for status. */
export interface PeerProgress {
  readonly node: NodeId
  readonly state: ProgressState
  readonly match: LogIndex
  readonly next: LogIndex
  readonly commit: LogIndex
}

/** One replica of a group, in whichever role: the rules on terms, and the way to the role's own functions. */
export class Raft implements Core<RaftMessage, RaftRequest, RaftOutput, RaftWrite, RaftEvent> {
  readonly #replica: Replica
  /** Something came in since the last Ready. */
  #dirty = false

  constructor(start: RaftStart) {
    this.#replica = new Replica(start)
  }

  get role(): Role {
    return this.#replica.role
  }

  get term(): Term {
    return this.#replica.term
  }

  get vote(): NodeId | undefined {
    return this.#replica.vote
  }

  get leader(): NodeId | undefined {
    return this.#replica.leader
  }

  get commit(): LogIndex {
    return this.#replica.commit
  }

  /** The end of the newest snapshot: the log begins after it. */
  get first(): LogPosition {
    return this.#replica.log.snapshot
  }

  get last(): LogPosition {
    return this.#replica.log.last
  }

  /** What the host hands back once all that was taken so far is durable. */
  get written(): Written {
    const { log, term } = this.#replica
    const { index, term: lastTerm } = log.last
    return { index, term: lastTerm, currentTerm: term }
  }

  get persistedIndex(): LogIndex {
    return this.#replica.persistedIndex
  }

  get configuration(): Configuration {
    return this.#replica.configuration
  }

  /** The term of the entry, or of the snapshot's end; `undefined` for what is forgotten or not here yet. */
  termAt(index: LogIndex): Term | undefined {
    return this.#replica.log.termAt(index)
  }

  /** Bytes of the entries in (after, upTo], as far as the log still has them. */
  bytes(after: LogIndex, upTo: LogIndex): number {
    return this.#replica.log.bytes(after, upTo)
  }

  /** Whether this node may lead in this term, as far as is known here. */
  mayLead(node: NodeId, term: Term): boolean {
    return mayLead(this.#replica, node, term)
  }

  /** Empty unless this replica leads. */
  progress(): readonly PeerProgress[] {
    const peers = this.#replica.leadership?.peers ?? []
    return peers.map(({ node, state, match, next, commit }) => ({ node, state, match, next, commit }))
  }

  /** Asserts the invariants of the replica and of what it holds. */
  check(): void {
    this.#replica.check()
  }

  /** Throws `DATA_DAMAGED`, and does nothing, for what no peer can have said. */
  receive(from: NodeId, message: RaftMessage, now: Millis): void {
    const replica = this.#replica
    const contradiction = contradictionOf(replica, from, message)
    if (contradiction !== undefined) throw malformed(contradiction)
    this.#turn(now)
    if (message.term < replica.term) this.#receiveStale(from, message)
    else if (message.term === replica.term || this.#enterTerm(from, message)) this.#receiveCurrent(from, message)
  }

  submit(request: RaftRequest, now: Millis): void {
    this.#turn(now)
    const replica = this.#replica
    if (request.type === 'compact') this.#compact(request.upTo)
    else if (request.type === 'install-snapshot') onInstallSnapshot(replica, request)
    else if (replica.leadership !== undefined) leaderSubmits(replica, replica.leadership, request)
    else followerSubmits(replica, request)
  }

  wake(now: Millis): void {
    this.#turn(now)
    const replica = this.#replica
    if (replica.leadership !== undefined) leaderWakes(replica, replica.leadership)
    else followerWakes(replica)
  }

  persisted(upTo: Written): boolean {
    const replica = this.#replica
    // An entry that was overwritten meanwhile says nothing about the one in its place.
    if (upTo.index > replica.persistedIndex && replica.log.holds(upTo)) replica.persistedIndex = upTo.index
    if (replica.leadership !== undefined) leaderPersisted(replica, replica.leadership)
    else candidatePersisted(replica, upTo.currentTerm)
    const hasNews = !replica.outbox.isEmpty
    if (hasNews) this.#dirty = true
    return hasNews
  }

  get wakeAt(): Millis {
    const replica = this.#replica
    if (replica.leadership !== undefined) return leaderWakeAt(replica.leadership)
    return Math.min(replica.electionAt, replica.reads.deadline)
  }

  takeReady(): RaftReady | undefined {
    if (!this.#dirty) return undefined
    this.#dirty = false
    const replica = this.#replica
    if (replica.leadership !== undefined) leaderFlushes(replica, replica.leadership)
    else followerFlushes(replica)
    return replica.outbox.take()
  }

  #turn(now: Millis): void {
    this.#dirty = true
    if (now > this.#replica.now) this.#replica.now = now
  }

  /** A later term ends this one, but for questions that must not disturb a living leader; false if it is ignored. */
  #enterTerm(from: NodeId, message: RaftMessage): boolean {
    const replica = this.#replica
    if (message.type === 'pre-vote' || (message.type === 'pre-vote-reply' && message.granted)) return true
    if (message.type === 'vote' && isDisruptive(replica, from, message)) return false
    const isFromLeader = message.type === 'append' || message.type === 'heartbeat'
    replica.becomeFollower(message.term, isFromLeader ? from : undefined)
    // This pre-vote was in vain for its term alone: the next one need not wait for a silent leader.
    if (message.type === 'pre-vote-reply') replica.awaitCampaign()
    return true
  }

  #receiveCurrent(from: NodeId, message: RaftMessage): void {
    const replica = this.#replica
    switch (message.type) {
      case 'pre-vote':
        onPreVote(replica, from, message)
        break
      case 'pre-vote-reply':
        onPreVoteReply(replica, from, message)
        break
      case 'vote':
        onVote(replica, from, message)
        break
      case 'vote-reply':
        onVoteReply(replica, from, message)
        break
      default:
        if (replica.leadership !== undefined) leaderReceives(replica, replica.leadership, from, message)
        else followerReceives(replica, from, message)
    }
  }

  /** Whoever asks or leads in an old term is told the new one, so that it is not stuck; late answers are dropped. */
  #receiveStale(from: NodeId, message: RaftMessage): void {
    const { outbox, term, commit } = this.#replica
    if (message.type === 'pre-vote-reply') onPreVoteReply(this.#replica, from, message)
    else if (message.type === 'pre-vote') outbox.send(from, { type: 'pre-vote-reply', term, granted: false })
    else if (message.type === 'vote') outbox.send(from, { type: 'vote-reply', term, granted: false })
    else if (message.type === 'read-index')
      outbox.send(from, { type: 'read-index-reply', term, id: message.id, index: 0 })
    else if (message.type === 'append' || message.type === 'heartbeat') {
      outbox.send(from, { type: 'heartbeat-reply', term, round: 0, commit })
    }
  }

  #compact(upTo: LogPosition): void {
    const { log, commit } = this.#replica
    const index = Math.min(upTo.index, commit)
    if (index > log.snapshotIndex) log.compact(index)
  }
}

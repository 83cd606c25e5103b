/** A replica is one copy of a group's log: the state that all roles share, and the rules that hold in every role. */

import { assert } from '../../base/assert.ts'
import type { NodeId } from '../../base/identity.ts'
import type { Random } from '../../base/random.ts'
import type { Millis } from '../../base/time.ts'
import type { Liveness, LogIndex, Term } from '../core.ts'
import type { RaftLimits, RaftStart, RaftTiming } from './config.ts'
import type { Leadership } from './leadership.ts'
import { RaftLog } from './log.ts'
import type { Configuration, Entry, RefusalReason, Role } from './message.ts'
import { checkVoters, countVotes, isVoter } from './quorum.ts'
import { FollowerReads } from './read.ts'
import { Outbox } from './ready.ts'

/** Leaves room for 2^52 questions below the largest exact integer. */
const FIRST_READ_NUMBERS = 2 ** 52

/**
 * Invariant: snapshot index <= commit <= last index.
 * Invariant: persistedIndex <= last index.
 * Invariant: role is 'leader' exactly when `leadership` is there and `leader` is this replica.
 * Invariant: a candidate has voted for itself.
 * Invariant: no entry is of a later term than the replica.
 */
export class Replica {
  readonly self: NodeId
  readonly timing: RaftTiming
  readonly limits: RaftLimits
  readonly random: Random
  readonly liveness: Liveness
  readonly log: RaftLog
  readonly outbox: Outbox = new Outbox()
  readonly reads: FollowerReads
  configuration: Configuration
  term: Term
  vote: NodeId | undefined
  role: Role = 'follower'
  leader: NodeId | undefined
  leadership: Leadership | undefined
  /** The answers to this replica's own pre-vote or vote. */
  votes: Map<NodeId, boolean> = new Map()
  commit: LogIndex
  /** Everything up to here is on this replica's disk. */
  persistedIndex: LogIndex
  /** When a replica that does not lead campaigns, unless its leader turns out to be alive. */
  electionAt: Millis = Infinity
  /** The random length of this wait; a sign of life of the leader starts it again. */
  patience: Millis = Infinity
  /** When the leader last spoke in this group. */
  leaderHeardAt: Millis = -Infinity
  /** The connection to the leader broke: its node being alive again does not mean that it still leads. */
  leaderLost = false
  /** The latest time that was told. */
  now: Millis

  constructor(start: RaftStart) {
    this.self = start.self
    this.timing = start.timing
    this.limits = start.limits
    this.random = start.random
    this.reads = new FollowerReads(Math.floor(start.random.next() * FIRST_READ_NUMBERS))
    this.liveness = start.liveness
    this.log = new RaftLog(start.snapshot, start.log)
    this.configuration = start.configuration
    this.term = start.term
    this.vote = start.vote
    this.commit = start.snapshot.index
    this.persistedIndex = this.log.lastIndex
    this.now = start.now
    this.awaitElection()
  }

  get isPromotable(): boolean {
    return isVoter(this.configuration, this.self)
  }

  /** Draws a new random wait of one to two election timeouts. */
  awaitElection(): void {
    const { electionTimeoutMs } = this.timing
    this.#awaitElectionFor(electionTimeoutMs * (1 + this.random.next()))
  }

  /** A campaign that came to nothing is repeated sooner than a silent leader is replaced: nobody leads meanwhile. */
  awaitCampaign(): void {
    const shortest = Math.min(2 * this.timing.lostLeaderMs, this.timing.electionTimeoutMs)
    this.#awaitElectionFor(shortest * (1 + this.random.next()))
  }

  #awaitElectionFor(patience: Millis): void {
    this.patience = patience
    this.electionAt = this.isPromotable ? this.now + patience : Infinity
  }

  /** The leader spoke. */
  heardLeader(leader: NodeId): void {
    if (this.role !== 'follower' || this.leader !== leader) this.becomeFollower(this.term, leader)
    this.leaderHeardAt = this.now
    this.leaderLost = false
  }

  /** When there was last a sign of life of the leader; -Infinity when there is no leader, or contact was lost since. */
  leaderSeenAt(): Millis {
    if (this.leader === undefined || this.leaderLost) return -Infinity
    return Math.max(this.leaderHeardAt, this.liveness.lastHeard(this.leader))
  }

  /** Whether the group has a leader as far as this replica can tell: then nobody should disturb it (thesis §4.2.3). */
  hasLiveLeader(): boolean {
    if (this.leadership !== undefined) return this.hasActiveQuorum(this.leadership)
    return this.now - this.leaderSeenAt() < this.timing.electionTimeoutMs
  }

  hasActiveQuorum(leadership: Leadership): boolean {
    const since = this.now - this.timing.electionTimeoutMs
    const active = (voter: NodeId): boolean => {
      if (voter === this.self) return true
      const peer = leadership.peer(voter)
      return peer !== undefined && Math.max(peer.heardAt, this.liveness.lastHeard(voter)) > since
    }
    return countVotes(this.configuration, active) === 'won'
  }

  /** Follows `leader`, if it is known, in a term that is this one or a later one. */
  becomeFollower(term: Term, leader: NodeId | undefined): void {
    assert(term >= this.term, 'a term never decreases')
    const { leadership } = this
    if (leadership !== undefined) this.#reportStepDown(leadership, term)
    if (term > this.term) this.setHardState(term, undefined)
    this.leadership = undefined
    this.changeRole('follower', leader)
    if (leadership !== undefined) this.#abandonReads(leadership)
    this.leaderHeardAt = leader === undefined ? -Infinity : this.now
    this.leaderLost = false
    this.awaitElection()
  }

  #reportStepDown(leadership: Leadership, term: Term): void {
    const succeeded = leadership.transfer === undefined ? 'higher-term' : 'transferred'
    this.outbox.event({ type: 'stepped-down', term: this.term, reason: term > this.term ? succeeded : 'no-quorum' })
  }

  #abandonReads(leadership: Leadership): void {
    const { term } = this
    for (const { id, from } of leadership.reads.takeAll()) {
      if (from === undefined) this.refuse(id, 'leadership-lost')
      else this.outbox.send(from, { type: 'read-index-reply', term, id, index: 0 })
    }
  }

  setHardState(term: Term, vote: NodeId | undefined): void {
    this.term = term
    this.vote = vote
    this.outbox.writeHardState(term, vote)
  }

  changeRole(role: Role, leader: NodeId | undefined): void {
    this.role = role
    this.leader = leader
    this.votes.clear()
    for (const id of this.reads.takeAll()) this.refuse(id, 'leadership-lost')
    this.outbox.event({ type: 'became', role, term: this.term, leader })
    this.outbox.output({ type: 'leadership', role, term: this.term, leader })
  }

  append(entry: Entry): void {
    assert(entry.index === this.log.lastIndex + 1, 'entries are appended in order')
    this.log.append(entry.term, entry.payload.length)
    this.outbox.writeEntry(entry)
  }

  /** Drops the entries after `lastKept`: the leader of this term has others there. */
  truncate(lastKept: LogIndex): void {
    assert(lastKept >= this.commit, 'a committed entry is never dropped')
    this.outbox.event({ type: 'truncated', from: lastKept + 1, upTo: this.log.lastIndex })
    this.log.truncate(lastKept)
    this.persistedIndex = Math.min(this.persistedIndex, lastKept)
  }

  commitTo(index: LogIndex): void {
    if (index <= this.commit) return
    assert(index <= this.log.lastIndex, 'only entries of the log are committed')
    this.commit = index
    this.outbox.output({ type: 'commit', index })
    this.outbox.event({ type: 'committed', index, term: this.log.termAt(index) ?? this.term })
  }

  refuse(id: number, reason: RefusalReason): void {
    this.outbox.output({ type: 'refused', id, reason, leader: this.leader })
  }

  check(): void {
    const { log, commit, role } = this
    log.check()
    checkVoters(this.configuration)
    assert(log.snapshotIndex <= commit && commit <= log.lastIndex, 'the commit index is within the log')
    assert(this.persistedIndex <= log.lastIndex, 'what is on disk is in the log')
    assert((role === 'leader') === (this.leader === this.self), 'a leader knows itself as the leader')
    assert((role === 'leader') === (this.leadership !== undefined), 'a leadership belongs to a leader')
    assert(role !== 'candidate' || this.vote === this.self, 'a candidate has voted for itself')
    assert(log.lastTerm <= this.term, 'no entry is of a later term')
    for (const peer of this.leadership?.peers ?? []) peer.check(log.lastIndex)
  }
}

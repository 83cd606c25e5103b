/** Progress is what a leader knows of one peer's log and how it feeds it. */

import { assert } from '../../base/assert.ts'
import type { NodeId } from '../../base/identity.ts'
import type { Millis } from '../../base/time.ts'
import type { LogIndex } from '../core.ts'
import type { RaftLog } from './log.ts'

/**
 * - `'probe'`: where the logs agree is a guess; one append at a time, repeated with the heartbeat.
 * - `'replicate'`: it is known; appends are pipelined ahead of their acknowledgements.
 * - `'snapshot'`: the peer needs what the log no longer holds; a snapshot is under way.
 */
export type ProgressState = 'probe' | 'replicate' | 'snapshot'

/**
 * Invariant: match < next.
 * Invariant: next <= the leader's last index + 1.
 */
export class Progress {
  readonly node: NodeId
  state: ProgressState = 'probe'
  /** The peer has everything up to here on its disk, and it equals the leader's. */
  match: LogIndex = 0
  /** The first entry that was not sent yet. */
  next: LogIndex
  /** The commit index that the peer reported last. */
  commit: LogIndex = 0
  /** The newest read round that the peer has confirmed. */
  round = 0
  heardAt: Millis
  /** When something was sent or confirmed while nothing else was under way: the age of the oldest unanswered append. */
  advancedAt: Millis
  /** A probe is under way. */
  probing = false
  /** False after the connection was lost: nothing is sent until the peer is heard again. */
  connected = true
  lostAt: Millis = -Infinity
  heartbeatDue = false
  /** The snapshot that was asked for reaches at least up to here. */
  snapshotIndex: LogIndex = 0
  /** When the snapshot had been sent as a whole; Infinity before. */
  snapshotSentAt: Millis = Infinity

  constructor(node: NodeId, next: LogIndex, now: Millis) {
    this.node = node
    this.next = next
    this.heardAt = now
    this.advancedAt = now
  }

  /** Entries sent and not confirmed, in bytes. */
  inflightBytes(log: RaftLog): number {
    return log.bytes(this.match, this.next - 1)
  }

  /** Nothing more needs to be said to this peer. */
  isConfirmed(last: LogIndex, commit: LogIndex): boolean {
    return this.match === last && this.commit === commit && this.state === 'replicate'
  }

  /** The peer confirmed everything up to `match`; true if that is news. */
  accept(match: LogIndex, now: Millis): boolean {
    const news = match > this.match
    if (news) {
      this.match = match
      this.advancedAt = now
    }
    if (this.next <= match) this.next = match + 1
    if (this.state === 'snapshot' && match < this.snapshotIndex) return news
    if (this.state !== 'replicate') this.#replicate()
    return news
  }

  /**
   * The peer refused an append after `refused`; its log may agree up to `guess`. False for a late reply that says
   * nothing new, and for one that takes back what was confirmed: answering that at once would never end.
   */
  refuse(refused: LogIndex, guess: LogIndex): boolean {
    const expected = this.state === 'replicate' || (this.state === 'probe' && refused === this.next - 1)
    const fresh = expected && refused > this.match
    if (fresh) this.probeFrom(Math.min(guess, refused - 1) + 1)
    return fresh
  }

  /** Starts to guess anew; what was under way is taken for lost. */
  probeFrom(next: LogIndex): void {
    this.state = 'probe'
    this.next = Math.max(next, this.match + 1)
    this.probing = false
  }

  awaitSnapshot(index: LogIndex): void {
    this.state = 'snapshot'
    this.snapshotIndex = index
    this.snapshotSentAt = Infinity
    this.next = Math.max(index, this.match) + 1
  }

  /** A snapshot was lost: the peer is asked again where it stands, with the next heartbeat. */
  snapshotFailed(): void {
    this.probeFrom(this.match + 1)
    this.probing = true
  }

  disconnect(now: Millis): void {
    this.connected = false
    this.lostAt = now
    this.heardAt = -Infinity
    this.commit = 0
    this.probeFrom(this.match + 1)
  }

  check(last: LogIndex): void {
    assert(this.match < this.next, 'what a peer confirmed was sent')
    assert(this.next <= last + 1 || this.state === 'snapshot', 'what was sent is in the log')
  }

  #replicate(): void {
    this.state = 'replicate'
    this.next = this.match + 1
    this.probing = false
  }
}

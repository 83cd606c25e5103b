/** The configuration of a Raft replica: each value with its unit, its default and what it costs to turn. */

import type { NodeId } from '../../base/identity.ts'
import type { Random } from '../../base/random.ts'
import type { Millis } from '../../base/time.ts'
import type { Liveness, LogPosition, Term } from '../core.ts'
import type { Configuration } from './message.ts'

export interface RaftTiming {
  /**
   * A follower campaigns after this long without a sign of life of its leader, plus a random part of the same length;
   * a leader that heard no majority for this long steps down. Default 1000. Lower: faster failover, more false alarms
   * (a full garbage collection takes up to 300 ms).
   */
  readonly electionTimeoutMs: Millis
  /**
   * How often a leader repeats itself while some follower has not confirmed everything. Default 50. An idle group sends
   * nothing. Must be well below `electionTimeoutMs`.
   */
  readonly heartbeatMs: Millis
  /**
   * After losing the connection to its leader a follower campaigns within a random part of this. Default 150. Pre-vote
   * keeps a false alarm harmless.
   */
  readonly lostLeaderMs: Millis
}

export interface RaftLimits {
  /** Bytes of entries in one append message. Default 256 KiB; one entry may exceed it. */
  readonly appendBytes: number
  /** Bytes of entries sent to one peer and not yet confirmed. Default 2 MiB. */
  readonly inflightBytes: number
  /** Bytes of proposed entries not yet committed, or not yet on the leader's own disk; beyond it proposals are refused as overloaded. Default 32 MiB. */
  readonly uncommittedBytes: number
}

export const DEFAULT_TIMING: RaftTiming = { electionTimeoutMs: 1000, heartbeatMs: 50, lostLeaderMs: 150 }

export const DEFAULT_LIMITS: RaftLimits = {
  appendBytes: 256 * 1024,
  inflightBytes: 2 * 1024 * 1024,
  uncommittedBytes: 32 * 1024 * 1024,
}

/** What a replica finds on its disk when it starts; a new one has term 0, no vote and an empty log. */
export interface RaftStart {
  readonly self: NodeId
  readonly configuration: Configuration
  readonly term: Term
  readonly vote: NodeId | undefined
  /** The end of the newest snapshot; `{ index: 0, term: 0 }` without one. */
  readonly snapshot: LogPosition
  /** Term and payload size in bytes of each entry after the snapshot, in order. */
  readonly log: readonly { readonly term: Term; readonly size: number }[]
  readonly timing: RaftTiming
  readonly limits: RaftLimits
  readonly random: Random
  readonly liveness: Liveness
  readonly now: Millis
}

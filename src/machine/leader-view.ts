/** A leader's view is what the leader of a group sees of its machine beyond commands and queries: what waits to be done by it. */

import type { LeaderMicros } from './batch.ts'

/** A message that a consumer is to have. Views into the table: copy what outlives the call. */
export interface HeldMessage {
  readonly id: number
  readonly key: string
  /** How often it has been delivered and come back, as far as the log knows; this delivery is one more. */
  readonly attempts: number
  /** When it was sent. */
  readonly time: LeaderMicros
  /** `[headers blob, payload blob]` */
  readonly body: Uint8Array
  /** See `QueueSettings.leaseMs`. */
  readonly leaseMs: number
}

/**
 * Queues as their leader delivers them. A hold is volatile: it is in no snapshot and no digest, and nothing that a
 * command comes to depends on it. A message that is gone (acknowledged, dead, expired, purged) or moved is held no
 * longer.
 *
 * `hold` keeps all promises of order: one message of a key at a time unless the queue's order is none, the key's oldest
 * first and a key waits while its oldest is delayed for a retry; priority with its share for the lowest; fair turns
 * between keys; the limits per queue and key, and rates; nothing of a paused queue.
 */
export interface QueueView {
  /** This replica has come to lead: what was handed out before counts towards rates as if all of it had been. */
  lead(since: LeaderMicros): void
  /** Whether there is a message that `hold` would take. Looking counts towards no rate. */
  isReady(queue: string, now: LeaderMicros): boolean
  /** Takes the next message that may be delivered now; undefined when there is none. */
  hold(queue: string, now: LeaderMicros): HeldMessage | undefined
  /** Puts a message back to where it was, with nothing counted. Without effect when it is not held. */
  unhold(queue: string, id: number): void
  /**
   * Messages that were held when they were removed, replaced, moved, dropped or expired: what their holders do with
   * them has no effect. Each is told once.
   */
  takeRevoked(): readonly number[]
  /** This replica no longer leads. */
  unholdAll(): void
  /** When a rate limit lets the next message through, if only that is in the way; Infinity otherwise. */
  nextAt(queue: string, now: LeaderMicros): LeaderMicros
  /** Changes whenever a queue may have something to hold that it had not. */
  readonly version: number
}

/** Leases live while they are kept alive, which only the leader hears of; it ends the others by a `leaseExpire` command. */
export interface LeaseView {
  leases(): Iterable<{ readonly id: number; readonly ttlMs: number }>
  has(lease: number): boolean
  /** Changes whenever a lease begins or ends. */
  readonly version: number
}

export interface TopicView {
  /**
   * Encoded records of a partition from `offset` on, up to a limit of bytes (at least one record); see
   * `topic-command.ts`. `next` is the offset after the last of them; an `offset` below the first kept record reads from
   * that one on.
   */
  read(
    topic: string,
    partition: number,
    offset: number,
    limitBytes: number,
  ): { readonly records: Uint8Array; readonly count: number; readonly next: number }
  /** The offset of the next record that will be published; 0 for a partition that has none yet. */
  end(topic: string, partition: number): number
  /** Changes whenever records are appended. */
  readonly version: number
}

/** Schedules whose next times only a calendar knows; the leader computes them and proposes a `schedulePlan`. */
export interface ScheduleView {
  unplanned(): Iterable<UnplannedSchedule>
  readonly version: number
}

export interface UnplannedSchedule {
  readonly id: string
  readonly queue: string
  /** Of the definition; a plan for another is refused. */
  readonly generation: number
  readonly cron: string
  readonly timeZone: string
  /** Times after this one are wanted. */
  readonly after: LeaderMicros
}

/** The commands of one shard for one queue or topic of another; `''` for all that are for neither. Each lane has an order of its own. */
export interface Lane {
  readonly shard: number
  readonly name: string
}

/** Commands for other shards, which the leader carries there; see `outbox.ts`. */
export interface OutboxView {
  /** Those with something pending; each is the same object as long as it has. */
  lanes(): Iterable<Lane>
  /** Encoded `relay` commands of a lane, oldest first, without their heads. */
  pending(lane: Lane, limit: number): readonly { readonly sequence: number; readonly body: Uint8Array }[]
  readonly version: number
}

export interface LeaderView {
  readonly queues: QueueView
  readonly leases: LeaseView
  readonly topics: TopicView
  readonly schedules: ScheduleView
  readonly outbox: OutboxView
}

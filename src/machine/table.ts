/** A table is one type of state in a shard, with the commands that change it and the queries that read it. */

import type { ByteReader, ByteWriter } from '../base/bytes.ts'
import type { LeaderMicros } from './batch.ts'
import type { Outcome } from './command.ts'
import type { Level } from './level.ts'

/** A command as a table receives it; the shard fills one object again and again. */
export interface Task {
  kind: number
  /** Stands at the command's body, which ends at `end`; what lies beyond is not the command's. */
  readonly reader: ByteReader
  readonly end: number
  /** Never less than that of any task before, on any replica. */
  readonly time: LeaderMicros
  readonly outcome: Outcome
  /** Of the entry. */
  readonly level: Level
}

/**
 * Commands whose kind is in `type * 32 … type * 32 + 31` are this table's, and so are queries. A table is
 * deterministic: it follows from its tasks and their times alone. It throws `malformed` for a body that is none, before
 * it has changed anything, and never throws for anything else that a client sent.
 *
 * Every result fits into a status and a number (53 bits), which is what sessions keep; what is longer is asked for by a
 * query.
 */
export interface Table {
  readonly type: number
  /** Executes a command that stands alone: `check` and `apply` in one. */
  run(task: Task): void
  /**
   * Whether a part of a transaction may be applied, as things stand before the transaction; changes nothing. Sets the
   * outcome to `ok`, or to what ends the transaction. A kind that cannot be a part is `unsupported`.
   */
  check(task: Task): void
  /**
   * Executes a part that has been checked along with all others. It cannot fail; limits that others of its parts have
   * used up meanwhile are exceeded.
   */
  apply(task: Task): void
  /** Answers a query into `reply`, beginning with its status; false when the kind is unknown. */
  query(kind: number, reader: ByteReader, reply: ByteWriter): boolean
  /** When something falls due by itself; Infinity when nothing does. */
  readonly dueAt: LeaderMicros
  /** Does what has fallen due up to `time`, in its order. Called before the commands of every batch that is late enough. */
  advance(time: LeaderMicros): void
  freeze(): FrozenTable
  /** Puts back a section of a frozen table into one that is new. Throws `malformed` for one that is none. */
  load(section: ByteReader): void
}

export interface FrozenTable {
  /**
   * Consecutive parts, each at most 60,000 bytes or one record, beginning with a version; none for an empty table. They
   * stay the same while the table changes.
   */
  sections(): Iterable<Uint8Array>
  release(): void
}

/** What a table may ask of the shard that it is in. */
export interface Neighbours {
  /** The next revision of the shard: above all before, and no less than `time`. Ids, tokens and generations are revisions. */
  revise(time: LeaderMicros): number
  /**
   * Tells those who watch `key` of a reserved map (its name begins with `~`) that it changed; nothing is stored. A
   * watch is how clients wait: for a lock, a leader, a generation.
   */
  announce(change: Announcement): void
  /**
   * Stores a message in a queue of this shard, now; the schedule table's firings come this way. Returns its id, 0 when
   * the queue did not take it.
   */
  enqueue(message: Enqueued, time: LeaderMicros): number
  /** Deletes a key of a map that was not written after the revision `since`, so that watchers hear of it; for keys attached to a lease. */
  deleteKey(map: string, key: string, since: number, time: LeaderMicros): void
  /** A lease is over: whoever relied on it lets go. */
  leaseEnded(lease: number, time: LeaderMicros): void
  /** Whether this lease exists in the shard. */
  hasLease(lease: number): boolean
}

export interface Announcement {
  readonly map: string
  readonly key: string
  readonly revision: number
  /** Empty for a key that is gone. */
  readonly value: Uint8Array
}

export interface Enqueued {
  readonly queue: string
  readonly key: string
  /** Encoded headers, `''` for none; see `queue-command.ts`. */
  readonly headers: Uint8Array
  readonly payload: Uint8Array
  /** Unless a message has had it within the queue's window; `''` for none. */
  readonly deduplicationId: string
}

export const TABLE = { machine: 0, map: 1, queue: 2, topic: 3, lease: 4, schedule: 7 } as const

export function tableOf(kind: number): number {
  return kind >>> 5
}

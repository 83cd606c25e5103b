/** A core is a protocol as a pure state machine: it is told what happened and answers with what is to be done. */

import type { NodeId } from '../base/identity.ts'
import type { Millis } from '../base/time.ts'

/** Index of a log entry; 0 stands before the first entry. */
export type LogIndex = number

/** Number of an election; 0 before the first. */
export type Term = number

/** A place in the log: two logs that hold the same position are equal up to it (log matching). */
export interface LogPosition {
  readonly index: LogIndex
  readonly term: Term
}

/** How far a replica had come when its writes were taken. */
export interface Written extends LogPosition {
  /** The term in which it was: its vote of that term is written, too. */
  readonly currentTerm: Term
}

/**
 * What every protocol promises and what the host owes it.
 *
 * The host calls `receive`, `submit`, `wake` and `persisted` in any order, then `takeReady` until it yields nothing,
 * and fulfils each `Ready` in this order: `messages` may leave at once, and may travel while the disk writes; `writes`
 * become durable together and in the order in which they were taken; only then `messagesAfterPersist` leave and
 * `persisted` is called with how far that was. A core never waits, never reads a clock, a disk or a random device, and
 * never throws but for an assertion, after which the host stops the node, and for a message that no peer can have sent:
 * `DATA_DAMAGED`, as if its bytes were malformed.
 */
export interface Core<Message, Request, Output, Write, Event> {
  /** The network said. Messages may be lost, repeated, reordered and late, but never altered. */
  receive(from: NodeId, message: Message, now: Millis): void
  /** The node asked. */
  submit(request: Request, now: Millis): void
  /** The deadline passed. Waking early or late is harmless. */
  wake(now: Millis): void
  /**
   * The disk confirmed every write that was taken up to there, but none that was taken later. False when nothing comes
   * of it: a turn can be spared.
   */
  persisted(upTo: Written): boolean
  /** The next deadline; Infinity when idle. */
  readonly wakeAt: Millis
  takeReady(): Ready<Message, Output, Write, Event> | undefined
}

export interface Ready<Message, Output, Write, Event> {
  readonly writes: readonly Write[]
  readonly messages: readonly Addressed<Message>[]
  readonly messagesAfterPersist: readonly Addressed<Message>[]
  readonly outputs: readonly Output[]
  /** What happened, for logs, metrics, traces and checkers. */
  readonly events: readonly Event[]
}

export interface Addressed<Message> {
  readonly to: NodeId
  readonly message: Message
}

/**
 * When each node was last heard, kept once per node for all groups: an idle group sends nothing, and its followers
 * trust their leader for as long as the leader's node is alive.
 */
export interface Liveness {
  /** -Infinity when the node is not connected or has restarted since. */
  lastHeard(node: NodeId): Millis
}

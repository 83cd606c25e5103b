/** A handler is the application's code that works messages off; a worker runs it. */

import type { Millis } from '../base/time.ts'
import type { MapDefinition } from '../data/map.ts'
import type { FailureRecord } from './failure-record.ts'
import type { QueueDefinition, QueueMessage, SendOptions } from './queue.ts'
import type { PublishOptions, TopicDefinition } from './topic.ts'

/** Returning means done; what it throws is a failed attempt. */
export type Handler<Value> = (message: QueueMessage<Value>, context: HandlerContext) => unknown

/**
 * What a handler can do beside its work, also taken apart (`{ emit, signal }`). What it emits, sets and publishes
 * happens with the acknowledgement, or not at all.
 */
export interface HandlerContext {
  /**
   * Aborts when the lease is lost (`LEASE_LOST`): it ran out, or the message was cancelled, replaced, moved or expired
   * meanwhile. Also when the worker or the Troupe ends before the handler does.
   */
  readonly signal: AbortSignal
  /** As the message's own. */
  readonly attempt: number
  /** Sends a message. Its place and key are its own: in another shard it follows by outbox, once. */
  emit<Value, Input>(this: void, queue: QueueDefinition<Value, Input>, value: Input, options?: SendOptions): void
  /** Sets a key of a map that has the queue's placement; the key is the message's own. Where it lies in another shard the attempt fails. */
  set<Value, Input>(this: void, map: MapDefinition<Value, Input>, key: string, value: Input): void
  /** Removes a key of a map; as with `set`. */
  delete<Value, Input>(this: void, map: MapDefinition<Value, Input>, key: string): void
  /** Publishes a record; as with `emit`. */
  publish<Value, Input>(this: void, topic: TopicDefinition<Value, Input>, value: Input, options?: PublishOptions): void
  /** Results of a flow's children, in the order in which they were sent; none for a message that is no flow. */
  children(this: void): Promise<readonly unknown[]>
  /** Kept for `inspect` and for those who wait for it once the message is done; by default for a day. */
  result(this: void, value: unknown, options?: { readonly keep?: Millis }): void
  /** Commits what there is and acknowledges now; the handler may go on, but whatever it does then is its own affair. */
  commit(this: void): Promise<void>
  /** Kept with the message for `inspect`. */
  progress(this: void, value: unknown): Promise<void>
  /** From now on the lease lasts this long, and is kept at it. Not needed to keep it: the worker extends it while the handler runs. */
  extend(this: void, lease: Millis): Promise<void>
}

/** Returning means done, but for the messages that were said to have failed; what it throws is a failed attempt of all. */
export type BatchHandler<Value> = (messages: readonly QueueMessage<Value>[], context: BatchContext<Value>) => unknown

/** What a handler of batches can do beside its work. Each message of a batch is acknowledged, or fails, by itself. */
export interface BatchContext<Value> {
  /** Aborts when the lease of any of the messages is lost, and when the worker or the Troupe ends before the handler does. */
  readonly signal: AbortSignal
  /** This one has failed, whatever becomes of the others: the queue's retry policy says what follows. */
  fail(this: void, message: QueueMessage<Value>, error: unknown): void
  /** What can be done for one of the messages, such as what happens with its acknowledgement. */
  of(this: void, message: QueueMessage<Value>): HandlerContext
}

/** How a worker gathers batches, besides how it works. */
export interface BatchWorkOptions extends WorkOptions {
  /** Most messages of a batch, 1 to 1,000. With order `'key'` a key has one message in it at most. */
  readonly size: number
  /** How long the first message of a batch waits for more, in milliseconds; default 10. */
  readonly linger?: Millis
}

/** How a worker works: how much at once, and whom it tells. */
export interface WorkOptions {
  /** Handlers at once; default 1. With batches: batches at once. */
  readonly concurrency?: number
  /** Messages that wait here for a free handler; default as many as handlers have at once. */
  readonly prefetch?: number
  /** Names the worker in `stats`. */
  readonly consumer?: string
  /** Ends the worker as `close` does. */
  readonly signal?: AbortSignal
  /** Called for each failed attempt, after it was recorded. What it throws is ignored. */
  readonly onFailure?: (failure: FailureRecord, message: { readonly id: string; readonly attempt: number }) => unknown
}

/** What became of the messages that a worker had when it was drained. */
export interface DrainResult {
  /** Handlers that ended while draining. */
  readonly finished: number
  /** Messages that waited here and went back. */
  readonly released: number
  /** Handlers that were still running when the time was over; their messages went back too. */
  readonly abandoned: number
}

/** Handlers at work on a queue, until it is drained or closed, by itself or with its Troupe. */
export interface Worker extends AsyncDisposable {
  /** Resolves when the worker has ended; rejects when the queue could not be read. */
  readonly ended: Promise<void>
  /** Takes nothing new and lets handlers finish for up to `timeout` milliseconds; default 25,000. */
  drain(options?: { readonly timeout?: Millis }): Promise<DrainResult>
  /** Ends at once: signals of handlers abort, their messages go back. */
  close(): Promise<void>
}

/** The queue facet is what the front knows of message queues and schedules. */

import type { Millis, WallMillis } from '../base/time.ts'
import type { CallOptions, Fence, Receipt, Revision } from './contract-call.ts'
import type { NamedTopic } from './contract-topic.ts'

/** Whether messages of one key come one at a time, oldest first, or as soon as somebody is free. */
export type QueueOrder = 'key' | 'none'
/** What a full queue does with one more message. */
export type Overflow = 'reject' | 'drop-oldest' | 'block'
/**
 * Which of the messages with one id counts: the first, the last in its place, the last when it is due, or both, the
 * last of them once the first is done.
 */
export type DeduplicationMode = 'drop' | 'replace' | 'debounce' | 'requeue'
/**
 * Why a message died: it had all its attempts, was rejected, was not done within its `ttl`, had to make room, or no
 * longer fits the schema.
 */
export type DeathReason = 'attempts' | 'rejected' | 'expired' | 'overflow' | 'validation'

/** The rules of a queue that the engine keeps. Infinity for no limit. */
export interface QueueRules {
  /** Default `'key'`: one message of a key at a time, oldest first, also through retries. */
  readonly order: QueueOrder
  /** Default 5. */
  readonly maxAttempts: number
  /** Default 30,000. */
  readonly leaseMs: Millis
  /** Default 1,000,000 waiting messages of each shard. */
  readonly limit: number
  readonly overflow: Overflow
  readonly concurrency: number
  readonly keyConcurrency: number
  readonly rate: number
  readonly ratePeriodMs: Millis
  readonly keyRate: number
  readonly keyRatePeriodMs: Millis
  /** Default 14 days. */
  readonly deadKeepMs: Millis
  /** All messages in one shard: follows from `concurrency` or `rate`, or is asked for to have priorities across all keys. */
  readonly single: boolean
  /** How many deliveries a key has in each of its turns, 1 to 1000, of at most 1000 keys; default 1. */
  readonly keyWeights: Readonly<Record<string, number>>
}

/** A queue by its name, with its rules: they are made known with the first call, and whenever they change. */
export interface NamedQueue {
  /** With its placement: `name` or `name@placement`. */
  readonly name: string
  /** Undefined leaves the queue those that it has. */
  readonly rules?: QueueRules | undefined
}

/** A message on its way to a queue. */
export interface OutgoingMessage {
  /** `''` for none: then any shard takes it. */
  readonly key: string
  /** At most 256 MiB; 1 MiB in an effect, a flow or a schedule. */
  readonly payload: Uint8Array
  /** Texts; `traceparent` and `tracestate` are W3C trace context. */
  readonly headers: Readonly<Record<string, string>>
  /** Milliseconds from now, or a point of the calendar; 0 for now. */
  readonly delay: Millis | { readonly at: WallMillis }
  /** Milliseconds until a message expires, unless it was acknowledged: also one that is held or to be retried; Infinity for never. */
  readonly ttl: Millis
  /** 0 to 9, higher first. */
  readonly priority: number
  readonly deduplication: { readonly id: string; readonly mode: DeduplicationMode; readonly window: Millis } | undefined
}

/** A message that its queue has. */
export interface Sent {
  /** Names the message for `inspect` and `remove`: `shard.number`. */
  readonly id: string
  /** True when a message with this deduplication id was there. */
  readonly isDuplicate: boolean
  readonly receipt: Receipt
}

/** A payload that the consumer has not fetched yet. */
export interface LargePayload {
  readonly bytes: number
  /**
   * Brings all of it, and extends the lease meanwhile. Rejects with `FENCED` when that is over, `DATA_DAMAGED` when the
   * payload cannot be read.
   */
  fetch(): Promise<Uint8Array>
}

/** A message in the hands of a consumer, under a lease, until it is settled. */
export interface Delivered {
  readonly id: string
  readonly key: string
  /** Empty when it is `large`. */
  readonly payload: Uint8Array
  /** Of a payload that is still with the engine, because it would be too much for one answer. */
  readonly large: LargePayload | undefined
  readonly headers: Readonly<Record<string, string>>
  /** 1 for the first; may lag by one for each change of leader in the middle of a delivery. */
  readonly attempt: number
  readonly sentAt: WallMillis
  readonly leaseMs: Millis
  /**
   * Aborts with `LEASE_LOST` when the lease is known to be over, also because the message was removed, replaced, moved,
   * dropped or expired.
   */
  readonly lost: AbortSignal
  /** Tells one listener the same, at once when it is so already: a signal for each message costs more than the rest of it. */
  onLost(tell: (reason: Error) => void): void
  /** Each settles once; all reject with `FENCED` when the lease is over. */
  acknowledge(options: CallOptions): Promise<void>
  retry(delay: Millis, error: Uint8Array, options: CallOptions): Promise<void>
  reject(reason: DeathReason, error: Uint8Array, options: CallOptions): Promise<void>
  release(options: CallOptions): Promise<void>
  extend(lease: Millis, options: CallOptions): Promise<void>
  progress(value: Uint8Array, options: CallOptions): Promise<void>
  /** Acknowledges, and makes the effects happen with it: all or nothing. */
  commit(effects: readonly Effect[], options: CallOptions): Promise<void>
}

/**
 * What happens along with an acknowledgement. Effects on keys of the same shard are one entry with it; sends to other
 * shards follow by outbox, each exactly once. A map change or a condition whose key lives in another shard is
 * `INVALID_ARGUMENT`: give map and queue the same placement and key.
 */
export type Effect =
  | {
      readonly type: 'set'
      readonly map: string
      readonly key: string
      readonly value: Uint8Array
      readonly ifRevision?: Revision
    }
  | { readonly type: 'delete'; readonly map: string; readonly key: string; readonly ifRevision?: Revision }
  | { readonly type: 'send'; readonly queue: NamedQueue; readonly message: OutgoingMessage }
  | {
      readonly type: 'publish'
      readonly topic: NamedTopic
      readonly key: string
      readonly payload: Uint8Array
      readonly headers: Readonly<Record<string, string>>
    }
  | { readonly type: 'result'; readonly value: Uint8Array; readonly keep: Millis }
  /** The message is a child of a flow, and this its result; `parent` is the header `troupe-parent` that it came with. */
  | { readonly type: 'arrive'; readonly parent: string; readonly value: Uint8Array }

/** A message with the queue that it is for. */
export interface QueuedMessage {
  readonly queue: NamedQueue
  readonly message: OutgoingMessage
}

/** A message that is delivered once all its children, 1 to 1000 messages of any queue, are done. It has no delay of its own. */
export interface OutgoingFlow extends QueuedMessage {
  /** Unique in its queue: the same one again changes nothing, as long as the flow is there. */
  readonly name: string
  readonly children: readonly QueuedMessage[]
}

/** Who consumes, and how much at once. */
export interface ConsumeOptions {
  readonly signal?: AbortSignal
  /** Names the worker for people. */
  readonly consumer: string
  /** Most messages that are delivered and unsettled at once, over all shards. */
  readonly credit: number
  /** Once it aborts nothing more is delivered, but for what is on its way; what is held may still be settled. */
  readonly draining?: AbortSignal
}

/** How a queue is, added up over its shards. */
export interface QueueStats {
  /** Due, and in nobody's hands. */
  readonly waiting: number
  /** Not due yet, after a failure, too. */
  readonly delayed: number
  /** In the hands of workers. */
  readonly leased: number
  readonly dead: number
  readonly isPaused: boolean
  /** How long ago the oldest of those that wait was sent; 0 when none waits. */
  readonly oldestWaitingMs: Millis
  readonly consumers: readonly ConsumerStatus[]
}

/** A worker or receiver, as the leaders that it takes messages from see it. */
export interface ConsumerStatus {
  readonly consumer: string
  /** How long ago it last asked for more, settled a message or kept its lease. */
  readonly lastPollMs: Millis
  readonly unsettled: number
  /** For how long it has had the oldest message that it has not settled; 0 when there is none. */
  readonly oldestUnsettledMs: Millis
}

/** Where a message is: it waits, waits for its time, is in a worker's hands, is a dead letter, or is done. */
export type MessageState = 'waiting' | 'delayed' | 'leased' | 'dead' | 'done'

/** Of a message that is done nothing is known but its id and its result; all else is empty or 0. */
export interface InspectedMessage {
  readonly id: string
  readonly key: string
  readonly state: MessageState
  /** Empty for a large one, which only a delivery brings. */
  readonly payload: Uint8Array
  readonly headers: Readonly<Record<string, string>>
  readonly attempts: number
  readonly sentAt: WallMillis
  readonly dueAt: WallMillis
  readonly priority: number
  readonly death: DeathReason | undefined
  readonly firstError: Uint8Array | undefined
  readonly lastError: Uint8Array | undefined
  readonly progress: Uint8Array | undefined
  readonly result: Uint8Array | undefined
}

/** Which dead letters come back: at most so many, of one reason if it is given, or just those with these ids. */
export type RedriveFilter =
  | { readonly limit: number; readonly reason?: DeathReason }
  | { readonly ids: readonly string[] }

/** When a schedule fires, and what it sends then. */
export interface ScheduleRule {
  readonly rule:
    | { readonly cron: string; readonly timeZone: string }
    | { readonly every: Millis; readonly from?: WallMillis }
    | { readonly at: WallMillis }
  readonly until: WallMillis | undefined
  readonly missed: 'skip' | 'latest' | 'all'
  readonly payload: Uint8Array
  readonly headers: Readonly<Record<string, string>>
}

/** A schedule with what has become of it. */
export interface ScheduleStatus extends ScheduleRule {
  readonly id: string
  readonly queue: string
  readonly isPaused: boolean
  /** Undefined when it fires no more. */
  readonly nextAt: WallMillis | undefined
  /** The newest message's header `troupe-firing`; undefined before the first. */
  readonly lastFiring: string | undefined
  /** Times that passed while nobody led, and were not made up for. */
  readonly missedCount: number
  /** The latest of them, ascending, at most 16. */
  readonly missedTimes: readonly WallMillis[]
}

/**
 * Promises: a message whose `send` resolved is delivered until it is settled, at least once, whatever fails; with order
 * `'key'` no message of a key is delivered before an older one is settled or dead; what a stale lease settles is
 * refused. `send` rejects with `FULL` under overflow `'reject'`, and waits for room under `'block'`.
 */
export interface QueueFacet {
  send(queue: NamedQueue, message: OutgoingMessage, options: CallOptions & { readonly fence?: Fence }): Promise<Sent>
  /** All or none. A child is done when it is committed with an `'arrive'`; while one is a dead letter the flow waits. */
  sendFlow(flow: OutgoingFlow, options: CallOptions): Promise<Sent>
  /** The results of a flow's children by their numbers, undefined for what has not come; none for a message that is no flow. */
  children(queue: string, id: string, options: CallOptions): Promise<readonly (Uint8Array | undefined)[]>
  /**
   * Waits until a message is done, and resolves with its result, or undefined when it left none or nothing is known of
   * it. Rejects with `DEAD_LETTER` when it has died, and with `TIMEOUT` when it is not done in time.
   */
  result(queue: string, id: string, options: CallOptions): Promise<Uint8Array | undefined>
  /** Ends with `lost` leases when the consumer returns: what is unsettled is released. */
  consume(queue: NamedQueue, options: ConsumeOptions): AsyncIterable<Delivered>
  stats(queue: string, options: CallOptions): Promise<QueueStats>
  peek(
    queue: string,
    state: 'waiting' | 'delayed' | 'dead',
    options: CallOptions & { readonly limit: number },
  ): AsyncIterable<InspectedMessage>
  inspect(queue: string, id: string, options: CallOptions): Promise<InspectedMessage | undefined>
  move(queue: string, id: string, to: { readonly dueAt: WallMillis }, options: CallOptions): Promise<boolean>
  remove(queue: string, id: string, options: CallOptions): Promise<boolean>
  pause(queue: string, isPaused: boolean, options: CallOptions): Promise<void>
  purge(queue: string, what: 'waiting' | 'dead' | 'all', options: CallOptions): Promise<number>
  /**
   * Everything that is known of the queue goes: messages, dead letters, results, deduplication ids, its rules and
   * whether it is paused. Resolves with how many messages went. `CONFLICT` while it has consumers or schedules. Whoever
   * names the queue afterwards makes it anew; its ids go on growing, and what is settled under an old one is refused.
   * What a handler has sent it and is still on its way arrives in the new one.
   */
  delete(queue: string, options: CallOptions): Promise<number>
  /** Dead letters wait again at their old places among those of their keys, oldest first. */
  redrive(queue: string, filter: RedriveFilter, options: CallOptions): Promise<number>
  /** All queues, in the order of their names; the rules are left out where the engine does not tell them. */
  queues(options: CallOptions): Promise<readonly NamedQueue[]>
  /**
   * Exactly one firing per due time and cluster; the message carries the header `troupe-firing`. A cron that is none is
   * `INVALID_ARGUMENT`.
   */
  schedule(queue: NamedQueue, id: string, rule: ScheduleRule, options: CallOptions): Promise<void>
  unschedule(queue: string, id: string, options: CallOptions): Promise<boolean>
  /**
   * A paused schedule fires nothing; once it is resumed, what has passed was missed, and follows its rule. To set it
   * again does not resume it. Resolves to whether there is one.
   */
  pauseSchedule(
    name: { readonly queue: string; readonly id: string },
    isPaused: boolean,
    options: CallOptions,
  ): Promise<boolean>
  schedules(options: CallOptions): Promise<readonly ScheduleStatus[]>
}

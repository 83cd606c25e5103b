/** A troupe queue is a handle on a queue: what an application does with its messages. */

import type { Millis, WallMillis } from '../base/time.ts'
import type { CallOptions, DeathReason, MessageState, QueueStats, Sent } from '../driver/contract.ts'
import type { FailureRecord } from './failure-record.ts'
import type { FlowChildren, FlowOptions } from './flow.ts'
import type { BatchHandler, BatchWorkOptions, Handler, Worker, WorkOptions } from './handler.ts'
import type { QueueMessage, RateLimit, SendOptions } from './queue.ts'

/** A message that was pulled, to be settled by hand. */
export interface ReceivedMessage<Value> extends QueueMessage<Value> {
  /** Aborts with `LEASE_LOST` when somebody else may have the message, or nobody any more. */
  readonly signal: AbortSignal
  /** It is done. All of these reject with `FENCED` when the lease is over. */
  acknowledge(options?: CallOptions): Promise<void>
  /** It has failed: another attempt after `delay`, by default that of the queue's policy. */
  retry(error: unknown, options?: CallOptions & { readonly delay?: Millis }): Promise<void>
  /** It will never succeed: a dead letter. */
  reject(error: unknown, options?: CallOptions): Promise<void>
  /** Back to the queue, with nothing counted. */
  release(options?: CallOptions): Promise<void>
  /** From now on the lease lasts this long. */
  extend(lease: Millis, options?: CallOptions): Promise<void>
  /** Kept with the message for `inspect`. */
  progress(value: unknown, options?: CallOptions): Promise<void>
}

/**
 * A message as it lies in the queue. Its value is shown as it is, also where it no longer fits the schema. Of a message
 * that is done nothing is known but its id and its result: its value is undefined, times and numbers are 0.
 */
export interface InspectedQueueMessage {
  readonly id: string
  readonly key: string
  readonly state: MessageState
  readonly value: unknown
  readonly headers: Readonly<Record<string, string>>
  /** Deliveries that have failed. */
  readonly attempts: number
  readonly sentAt: WallMillis
  readonly dueAt: WallMillis
  readonly priority: number
  readonly death: DeathReason | undefined
  readonly firstError: FailureRecord | undefined
  readonly lastError: FailureRecord | undefined
  readonly progress: unknown
  readonly result: unknown
}

/** Who receives, and how much at once. */
export interface ReceiveOptions {
  readonly signal?: AbortSignal
  /** Most messages that are received and unsettled at once; default 1. */
  readonly prefetch?: number
  /** Names the receiver in `stats`. */
  readonly consumer?: string
}

/** Which messages are looked at. */
export interface PeekOptions extends CallOptions {
  /** Default `'waiting'`. */
  readonly state?: 'waiting' | 'delayed' | 'dead'
  /** Default 100. */
  readonly limit?: number
}

/** Which dead letters come back, and how fast. */
export interface RedriveOptions extends CallOptions {
  /** Only dead letters that died for this reason. */
  readonly reason?: DeathReason
  /** Only those that it accepts, at once and not by a promise: then they are looked at one by one. */
  readonly filter?: (message: InspectedQueueMessage) => boolean
  /** Most of them; default all. */
  readonly limit?: number
  /** At most so many at a time, with a pause of `per` between. What dies again meanwhile stays dead. */
  readonly rate?: RateLimit
}

/**
 * A handle on a queue: light, stateless, free to make. A message whose `send` has resolved is delivered until it is
 * settled, at least once, whatever fails. Values are whatever structured clone can carry, up to 256 MiB by `send` and
 * 1 MiB elsewhere. What is beyond 1 MiB waits on the disks of its nodes, not in their memory.
 *
 * Calls reject with a `TroupeError`: `INVALID_ARGUMENT`, `VALIDATION`, `TOO_LARGE`, `UNSERIALIZABLE` before anything
 * was sent; `FULL`, `FENCED`, `UNSUPPORTED`, `NO_QUORUM`, `TIMEOUT`, `OVERLOADED`, `UNREACHABLE`, `CLOSED` when nothing
 * has changed; `OUTCOME_UNKNOWN` when it may have happened.
 */
export interface TroupeQueue<Value, Input = Value> {
  readonly name: string
  /**
   * Resolves once a majority has the message on disk. A `timeout` is for all of it; without one each piece of a large
   * message has the usual time.
   *
   * @example
   * await queue.send({ to: 'ann@example.org' }, { key: 'tenant-7', delay: 30_000, deduplicate: 'welcome-ann' })
   */
  send(value: Input, options?: SendOptions): Promise<Sent>
  /** Sends them together, with the same options. Rejects with the first failure when all have ended; the others may have been sent. */
  sendAll(values: Iterable<Input>, options?: SendOptions): Promise<readonly Sent[]>
  /**
   * Sends a message that comes once all its children are done, messages of this or any other queue: all of them or
   * none. A child's result is what its handler left by `result`, up to 64 KiB; the handler of the flow has them all
   * from `children`. While a child is a dead letter the flow waits: redrive it, or give the flow a `ttl`.
   *
   * @example
   * await queue.sendFlow({ month: 7 }, (children) => { for (const page of pages) children.send(renders, page) })
   */
  sendFlow(value: Input, children: (children: FlowChildren) => void, options?: FlowOptions): Promise<Sent>
  /**
   * Sends a message, and waits until it is done: resolves with the result that its handler left, undefined when it left
   * none. Rejects like `result`, but with `OUTCOME_UNKNOWN` when it is not done in time: it may still be.
   *
   * @example
   * const total = await queue.request({ order: 7 }, { timeout: 5_000 })
   */
  request(value: Input, options?: SendOptions): Promise<unknown>
  /**
   * Waits until a message is done, and resolves with its result; undefined when it left none, or nothing is known of it
   * any more. Rejects with `DEAD_LETTER` when it has died, and with `TIMEOUT` when it is not done in time.
   */
  result(id: string, options?: CallOptions): Promise<unknown>
  /**
   * Runs the handler for each message, several at once. A message is done when its handler returns; when it throws, the
   * attempt has failed, and the queue's retry policy says what follows.
   *
   * @example
   * await using worker = queue.work(async ({ value }, { signal }) => deliver(value, signal), { concurrency: 16 })
   */
  work(handler: Handler<Value>, options?: WorkOptions): Worker
  /**
   * Runs the handler for several messages at a time: what is there when the batch is full, or when its first message
   * has waited for long enough. Each message succeeds or fails by itself.
   *
   * @example
   * queue.workBatches(async (messages) => index(messages.map(({ value }) => value)), { size: 100, linger: 50 })
   */
  workBatches(handler: BatchHandler<Value>, options: BatchWorkOptions): Worker
  /**
   * Messages one by one, to be settled by hand. What is unsettled when the loop ends goes back. Nothing extends their
   * leases but `extend`.
   *
   * @example
   * for await (const message of queue.receive({ prefetch: 8 })) await message.acknowledge()
   */
  receive(options?: ReceiveOptions): AsyncIterable<ReceivedMessage<Value>>
  /** How many wait, are under way or dead, and who works: counted on the leaders, shard by shard. */
  stats(options?: CallOptions): Promise<QueueStats>
  /** Messages in their order; nothing is changed by looking. */
  peek(options?: PeekOptions): AsyncIterable<InspectedQueueMessage>
  /** One message with its attempts, errors, progress and result; undefined when nothing is known of it. */
  inspect(id: string, options?: CallOptions): Promise<InspectedQueueMessage | undefined>
  /** Gives a message another time, and takes it from who has it. False when it is not there. */
  move(id: string, to: { readonly at: WallMillis }, options?: CallOptions): Promise<boolean>
  /** Cancels a message, waiting, under way (its handler's signal aborts) or dead. False when it was not there. */
  remove(id: string, options?: CallOptions): Promise<boolean>
  /** Nothing is delivered until `resume`; sending goes on. */
  pause(options?: CallOptions): Promise<void>
  resume(options?: CallOptions): Promise<void>
  /** Removes what waits and is under way (the default), what is dead, or all; says how many. */
  purge(what?: 'waiting' | 'dead' | 'all', options?: CallOptions): Promise<number>
  /**
   * Deletes the queue: its messages, dead letters, results and rules, so that nothing of it takes memory. Says how many
   * messages went. `CONFLICT` while it has workers, other consumers or schedules: end them first. Whoever uses the
   * queue afterwards makes it anew.
   */
  delete(options?: CallOptions): Promise<number>
  /** As `peek` with `state: 'dead'`: each with its reason and its first and last error. */
  deadLetters(options?: CallOptions & { readonly limit?: number }): AsyncIterable<InspectedQueueMessage>
  /**
   * Dead letters back to the queue, oldest first, with their attempts at 0; says how many.
   *
   * @example
   * await queue.redrive({ reason: 'attempts', rate: { messages: 100, per: 1_000 } })
   */
  redrive(options?: RedriveOptions): Promise<number>
}

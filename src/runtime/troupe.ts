/** Troupe is what `open` gives: one object through which an application reaches its cluster, until it closes it. */

import { checkFunction, invalidArgument, LONGEST_MS, refuseUnknownOptions } from '../base/argument.ts'
import { ValueCodec } from '../base/codec.ts'
import { TroupeError } from '../base/error.ts'
import type { Random } from '../base/random.ts'
import { type Clock, DEFAULT_DRAIN_MS, type Millis, type Scheduler } from '../base/time.ts'
import { type Barrier, barrier, type Latch, latch, once } from '../data/barrier.ts'
import { CALL_OPTIONS, checkCall, checkFence, NO_OPTIONS } from '../data/call.ts'
import {
  type CampaignOptions,
  campaign,
  type ObserveOptions,
  type Office,
  observe,
  runSingleton,
} from '../data/election.ts'
import { facetOf } from '../data/facet.ts'
import type { Lease, Lock, LockOptions, LockState, ReadWriteLockOptions } from '../data/lock.ts'
import { acquireLock, acquireSemaphore, lockState, openLease, useHeld } from '../data/lock.ts'
import type { MapDefinition, TroupeMap } from '../data/map.ts'
import type { HandleParts } from '../data/map-handle.ts'
import { MapHandle } from '../data/map-handle.ts'
import { readSequencer } from '../data/sequencer.ts'
import type {
  CallOptions,
  ClusterStatus,
  Driver,
  Fence,
  NamedQueue,
  NamedTopic,
  OperationOutcome,
} from '../driver/contract.ts'
import { type MessageParts, pause } from '../message/parts.ts'
import type { QueueDefinition } from '../message/queue.ts'
import { QueueHandle } from '../message/queue-handle.ts'
import {
  listSchedules,
  pauseSchedule,
  removeSchedule,
  type ScheduleOptions,
  type ScheduleState,
  type ScheduleTime,
  setSchedule,
} from '../message/schedule.ts'
import {
  type PatternSubscribeOptions,
  type TopicBatch,
  type TopicDefinition,
  type TroupeTopic,
  topicPattern,
} from '../message/topic.ts'
import { TopicHandle } from '../message/topic-handle.ts'
import type { TroupeQueue } from '../message/troupe-queue.ts'

/** What a Troupe is made of. */
export interface TroupeParts {
  readonly driver: Driver
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly random: Random
  /** Lets the node beside this application finish and hand over its leaderships; nothing to do where there is none. */
  readonly drain?: (timeout: Millis) => Promise<void>
  /** Ends what was started along with the driver, once that is closed. */
  readonly close?: () => Promise<void>
  /** Aborts with the error by which the engine ended, if it ends by itself. */
  readonly failed?: AbortSignal
}

/** How long a drain may take. */
export interface DrainOptions {
  /** Milliseconds for finishing what is under way; default 25,000, so that a supervisor's 30 s suffice. */
  readonly timeout?: Millis
}

/**
 * One application's way to its cluster. Every call takes `{ signal, timeout }` last and gives up after 10,000 ms unless
 * it says otherwise. Errors are `TroupeError`s with a code.
 */
export interface Troupe {
  /** A handle on the map of this definition; see {@link TroupeMap}. */
  map<Value, Input>(definition: MapDefinition<Value, Input>): TroupeMap<Value, Input>

  /** A handle on the queue of this definition; see {@link TroupeQueue}. */
  queue<Value, Input>(definition: QueueDefinition<Value, Input>): TroupeQueue<Value, Input>

  /** A handle on the topic of this definition; see {@link TroupeTopic}. */
  topic<Value, Input>(definition: TopicDefinition<Value, Input>): TroupeTopic<Value, Input>

  /**
   * Reads all topics whose names match a pattern: `*` stands for one part between dots, `>` at the end for one or more.
   * Topics that come later are read from their first record on. Nothing is remembered, and values are not checked.
   *
   * @example
   * for await (const { topic, records } of troupe.subscribe('orders.*')) console.log(topic, records.length)
   */
  subscribe(pattern: string, options?: PatternSubscribeOptions): AsyncIterable<TopicBatch<unknown>>

  /** All queues, each by its name and placement: `name` or `name@placement`. */
  queues(options?: CallOptions): Promise<readonly NamedQueue[]>
  /** All topics with their rules. */
  topics(options?: CallOptions): Promise<readonly NamedTopic[]>

  /**
   * Sets the schedule of this id: its queue gets a message at each of its times, once in the whole cluster. The same
   * schedule again changes nothing, so every process may set it when it starts. The message's header `troupe-firing`
   * names the firing.
   *
   * @example
   * await troupe.schedule(reports, 'nightly', { cron: '0 3 * * *', timeZone: 'Europe/Berlin' }, { value: { kind: 'full' } })
   */
  schedule<Value, Input>(
    queue: QueueDefinition<Value, Input>,
    id: string,
    time: ScheduleTime,
    options: ScheduleOptions<Input>,
  ): Promise<void>
  /** Ends a schedule; false when there was none. */
  unschedule(queue: { readonly name: string }, id: string, options?: CallOptions): Promise<boolean>
  /**
   * It fires nothing until it is resumed, also when it is set again; false when there is none. What passes meanwhile
   * was missed: its option `missed` says what becomes of that when it is resumed.
   */
  pauseSchedule(queue: { readonly name: string }, id: string, options?: CallOptions): Promise<boolean>
  /** It fires again; false when there is none. */
  resumeSchedule(queue: { readonly name: string }, id: string, options?: CallOptions): Promise<boolean>
  /** All schedules: when each fires next, and what it has missed. */
  schedules(options?: CallOptions): Promise<readonly ScheduleState[]>

  /**
   * Waits in line for a lock and holds it until `release`. With `shared`, together with others that share it. Rejects
   * with `LOCKED` (`wait: false`), with `TIMEOUT` after 10,000 ms unless `timeout` says otherwise, or with the signal's
   * reason.
   *
   * @example
   * await using lock = await troupe.lock('nightly')
   * await troupe.map(reports).set('today', report, { fence: lock })
   */
  lock(name: string, options?: ReadWriteLockOptions): Promise<Lock>
  /**
   * Runs `use` while holding the lock, and releases it however that ends.
   *
   * @example
   * await troupe.withLock('billing', async (lock) => troupe.map(bills).set('july', bill, { fence: lock }))
   */
  withLock<Result>(
    name: string,
    use: (lock: Lock) => Result | Promise<Result>,
    options?: ReadWriteLockOptions,
  ): Promise<Result>
  /**
   * Waits for one of `permits` permits; everybody names the same number. Rejects as `lock` does.
   *
   * @example
   * await using permit = await troupe.semaphore('api', 4)
   */
  semaphore(name: string, permits: number, options?: LockOptions): Promise<Lock>
  /**
   * Waits until this process is elected, without a `timeout` as long as that takes. There is one holder for each token,
   * and tokens grow.
   *
   * @example
   * await using office = await troupe.campaign('scheduler', { candidate: 'node-1', signal })
   */
  campaign(name: string, options?: CampaignOptions): Promise<Office>
  /**
   * Who holds a lock or office, now and after each change; states in between may be left out.
   *
   * @example
   * for await (const { holders } of troupe.observe('scheduler')) console.log(holders[0]?.value)
   */
  observe(name: string, options?: ObserveOptions): AsyncIterable<LockState>
  /**
   * Runs `task` in one process of the cluster at a time: in another one after this was lost. Resolves when the task
   * returns. With `signal`, rejects with its reason as soon as it aborts; so does `office.signal`, and the office is
   * held until the task ends.
   *
   * @example
   * await troupe.singleton('planner', async (office) => plan(office.signal), { signal: troupe.signal })
   */
  singleton<Result>(
    name: string,
    task: (office: Office) => Result | Promise<Result>,
    options?: CampaignOptions,
  ): Promise<Result>
  /**
   * Whether a lock with this token is held now: for those who are shown one, as a fence or as a sequencer, and cannot
   * keep the highest that they have seen. It may be lost right after the answer.
   */
  verify(fence: Fence | string, options?: CallOptions): Promise<boolean>
  /** All locks and offices that are held or waited for. */
  locks(options?: CallOptions): Promise<readonly LockState[]>
  /**
   * A lease that keys can be attached to: they go with it, by `end` or when its process has been out of touch for `ttl`
   * milliseconds (default 10,000, at least 1,000).
   *
   * @example
   * const lease = await troupe.lease({ ttl: 5_000 })
   * await lease.set(online, 'node-1', { address })
   */
  lease(options?: CallOptions & { readonly ttl?: Millis }): Promise<Lease>
  /**
   * Opens after `count` steps, for ever.
   *
   * @example
   * await troupe.latch('migrated', 3).countDown()
   */
  latch(name: string, count: number): Latch
  /**
   * Lets its `count` parties go on together, round by round.
   *
   * @example
   * await troupe.barrier('round', 3).arrive({ timeout: 60_000 })
   */
  barrier(name: string, count: number): Barrier
  /**
   * Runs `task` once in the life of the cluster; everybody gets its result, and waits for it: without a `timeout` as
   * long as it takes. When it throws, the next caller tries again; a process that was out of touch for ten seconds is
   * overtaken, too, and then the first result counts for all. `timeout` and `signal` end the wait, not the task: what
   * it returns counts. The result is kept as a map's value is: whatever structured clone can carry, up to 1 MiB.
   *
   * @example
   * await troupe.once('migration-7', () => migrate())
   */
  once<Result>(name: string, task: () => Result | Promise<Result>, options?: CallOptions): Promise<Result>

  /** Members, groups and leaders, as the node that answers sees them. */
  status(options?: CallOptions): Promise<ClusterStatus>

  /**
   * What became of an operation that ended with `OUTCOME_UNKNOWN`. After `'not-committed'` it certainly never happens.
   *
   * @example
   * if (isTroupeError(error, 'OUTCOME_UNKNOWN')) await troupe.outcome(String(error.details.operationId))
   */
  outcome(operationId: string, options?: CallOptions): Promise<OperationOutcome>

  /** Aborts when this begins to drain or close (its reason is a `CLOSED` error), or when the engine fails (its error). */
  readonly signal: AbortSignal

  /**
   * Closes in order: workers take nothing new, and `signal` aborts, so that loops and watches that listen to it end;
   * handlers, and writes under way, have their time; leaderships go to other nodes; then it closes. Never rejects for
   * what is too slow.
   */
  drain(options?: DrainOptions): Promise<void>

  /**
   * Closes at once: what is under way rejects with `CLOSED`, or with `OUTCOME_UNKNOWN` where it may have happened.
   * Locks, offices, leases and places in groups are given back, so that nobody waits for them to run out; that takes at
   * most a second.
   */
  close(): Promise<void>

  [Symbol.asyncDispose](): Promise<void>
}

/** Makes the front of a driver: the composition root of everything above it. */
export function createTroupe(parts: TroupeParts): Troupe {
  return new OpenTroupe(parts)
}

const PATTERN_OPTIONS: ReadonlySet<string> = new Set(['signal', 'from', 'batch'])
const DRAIN_OPTIONS: ReadonlySet<string> = new Set(['timeout'])

class OpenTroupe implements Troupe {
  readonly #parts: TroupeParts
  readonly #handleParts: HandleParts & MessageParts
  readonly #ending = new AbortController()
  readonly #workers: MessageParts['workers'] = new Set()
  #drained: Promise<void> | undefined
  #closed: Promise<void> | undefined

  constructor(parts: TroupeParts) {
    this.#parts = parts
    this.#handleParts = {
      store: parts.driver.keyValue,
      driver: parts.driver,
      scheduler: parts.scheduler,
      random: parts.random,
      codec: new ValueCodec(),
      clock: parts.clock,
      ending: this.signal,
      workers: this.#workers,
    }
    const { failed } = parts
    if (failed?.aborted === true) this.#end(failed.reason)
    else failed?.addEventListener('abort', () => this.#fail(failed.reason), { once: true })
  }

  get signal(): AbortSignal {
    return this.#ending.signal
  }

  map<Value, Input>(definition: MapDefinition<Value, Input>): TroupeMap<Value, Input> {
    if (definition?.kind !== 'map') throw invalidArgument('troupe.map takes a definition made by defineMap')
    return new MapHandle(definition, this.#handleParts)
  }

  queue<Value, Input>(definition: QueueDefinition<Value, Input>): TroupeQueue<Value, Input> {
    if (definition?.kind !== 'queue') throw invalidArgument('troupe.queue takes a definition made by defineQueue')
    return new QueueHandle(definition, this.#handleParts)
  }

  topic<Value, Input>(definition: TopicDefinition<Value, Input>): TroupeTopic<Value, Input> {
    if (definition?.kind !== 'topic') throw invalidArgument('troupe.topic takes a definition made by defineTopic')
    return new TopicHandle(definition, this.#handleParts)
  }

  subscribe(pattern: string, options: PatternSubscribeOptions = NO_OPTIONS): AsyncIterable<TopicBatch<unknown>> {
    refuseUnknownOptions('troupe.subscribe', options, PATTERN_OPTIONS)
    const { from } = options
    if (typeof from === 'object' && from !== null && 'offsets' in from) {
      throw invalidArgument('offsets are of one topic: a pattern is read from a time, or from its earliest or latest')
    }
    return new TopicHandle(topicPattern(pattern), this.#handleParts).subscribe(options)
  }

  async queues(options: CallOptions = NO_OPTIONS): Promise<readonly NamedQueue[]> {
    checkCall('troupe.queues', options, CALL_OPTIONS)
    return facetOf(this.#parts.driver, 'queue').queues(options)
  }

  async topics(options: CallOptions = NO_OPTIONS): Promise<readonly NamedTopic[]> {
    checkCall('troupe.topics', options, CALL_OPTIONS)
    return facetOf(this.#parts.driver, 'topic').topics(options)
  }

  async schedule<Value, Input>(
    queue: QueueDefinition<Value, Input>,
    id: string,
    time: ScheduleTime,
    options: ScheduleOptions<Input>,
  ): Promise<void> {
    if (queue?.kind !== 'queue') throw invalidArgument('troupe.schedule takes a definition made by defineQueue')
    return setSchedule(this.#handleParts, queue, { id, time }, options)
  }

  unschedule(queue: { readonly name: string }, id: string, options: CallOptions = NO_OPTIONS): Promise<boolean> {
    return removeSchedule(this.#handleParts, queue, id, options)
  }

  pauseSchedule(queue: { readonly name: string }, id: string, options: CallOptions = NO_OPTIONS): Promise<boolean> {
    return pauseSchedule(this.#handleParts, { queue, id }, true, options)
  }

  resumeSchedule(queue: { readonly name: string }, id: string, options: CallOptions = NO_OPTIONS): Promise<boolean> {
    return pauseSchedule(this.#handleParts, { queue, id }, false, options)
  }

  schedules(options: CallOptions = NO_OPTIONS): Promise<readonly ScheduleState[]> {
    return listSchedules(this.#handleParts, options)
  }

  lock(name: string, options: ReadWriteLockOptions = NO_OPTIONS): Promise<Lock> {
    return acquireLock(this.#handleParts, name, options)
  }

  async withLock<Result>(
    name: string,
    use: (lock: Lock) => Result | Promise<Result>,
    options: ReadWriteLockOptions = NO_OPTIONS,
  ): Promise<Result> {
    checkFunction('what runs with the lock', use)
    return useHeld(acquireLock(this.#handleParts, name, options), use)
  }

  semaphore(name: string, permits: number, options: LockOptions = NO_OPTIONS): Promise<Lock> {
    return acquireSemaphore(this.#handleParts, name, permits, options)
  }

  campaign(name: string, options: CampaignOptions = NO_OPTIONS): Promise<Office> {
    return campaign(this.#handleParts, name, options)
  }

  observe(name: string, options: ObserveOptions = NO_OPTIONS): AsyncIterable<LockState> {
    return observe(this.#handleParts, name, options)
  }

  singleton<Result>(
    name: string,
    task: (office: Office) => Result | Promise<Result>,
    options: CampaignOptions = NO_OPTIONS,
  ): Promise<Result> {
    return runSingleton(this.#handleParts, name, task, options)
  }

  async verify(given: Fence | string, options: CallOptions = NO_OPTIONS): Promise<boolean> {
    checkCall('troupe.verify', options, CALL_OPTIONS)
    const fence = typeof given === 'string' ? readSequencer(given) : given
    if (fence === undefined) throw invalidArgument('troupe.verify takes a fence or a sequencer')
    checkFence(fence)
    return facetOf(this.#parts.driver, 'lease').verify(fence.name, fence.token, options)
  }

  async locks(options: CallOptions = NO_OPTIONS): Promise<readonly LockState[]> {
    checkCall('troupe.locks', options, CALL_OPTIONS)
    const statuses = await facetOf(this.#parts.driver, 'lease').locks(options)
    return statuses.map((status) => lockState(this.#handleParts, status))
  }

  lease(options: CallOptions & { readonly ttl?: Millis } = NO_OPTIONS): Promise<Lease> {
    return openLease(this.#handleParts, options)
  }

  latch(name: string, count: number): Latch {
    return latch(this.#handleParts, name, count)
  }

  barrier(name: string, count: number): Barrier {
    return barrier(this.#handleParts, name, count)
  }

  once<Result>(name: string, task: () => Result | Promise<Result>, options: CallOptions = NO_OPTIONS): Promise<Result> {
    return once(this.#handleParts, name, task, options)
  }

  async status(options: CallOptions = NO_OPTIONS): Promise<ClusterStatus> {
    checkCall('troupe.status', options, CALL_OPTIONS)
    return this.#parts.driver.status(options)
  }

  async outcome(operationId: string, options: CallOptions = NO_OPTIONS): Promise<OperationOutcome> {
    checkCall('troupe.outcome', options, CALL_OPTIONS)
    if (typeof operationId !== 'string') throw invalidArgument('operationId is the text of error.details.operationId')
    return this.#parts.driver.outcome(operationId, options)
  }

  async drain(options: DrainOptions = NO_OPTIONS): Promise<void> {
    refuseUnknownOptions('troupe.drain', options, DRAIN_OPTIONS)
    const { timeout = DEFAULT_DRAIN_MS } = options
    if (!(typeof timeout === 'number' && timeout >= 0)) throw invalidArgument('timeout is a number of milliseconds')
    this.#drained ??= this.#closed ?? this.#finish(timeout)
    // A node that cannot hand over is closed all the same: the others elect a leader without it.
    await this.#drained.catch(() => undefined)
    await this.close()
  }

  close(): Promise<void> {
    this.#fail(closing())
    this.#closed ??= this.#closeParts()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Workers know that they drain before the signal aborts. */
  async #finish(timeout: Millis): Promise<void> {
    const { driver, drain, clock } = this.#parts
    const end = clock.now() + timeout
    const left = (): Millis => Math.max(0, end - clock.now())
    const handled = [...this.#workers].map((worker) => worker.drain({ timeout: Math.min(timeout, LONGEST_MS) }))
    this.#end(closing())
    await Promise.allSettled(handled)
    await this.#within(left(), driver.settled?.())
    await drain?.(left())
  }

  async #within(timeout: Millis, done: Promise<void> | undefined): Promise<void> {
    if (done === undefined) return
    const over = new AbortController()
    await Promise.race([done, pause(this.#parts, timeout, over.signal).catch(() => undefined)])
    over.abort()
  }

  async #closeParts(): Promise<void> {
    try {
      await this.#parts.driver.close()
    } finally {
      await this.#parts.close?.()
    }
  }

  #end(reason: unknown): void {
    if (!this.#ending.signal.aborted) this.#ending.abort(reason)
  }

  #fail(reason: unknown): void {
    this.#end(reason)
    for (const worker of this.#workers) void worker.close()
  }
}

function closing(): TroupeError {
  return new TroupeError('CLOSED', 'this Troupe is closing')
}

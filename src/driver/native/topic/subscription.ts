/** A subscription reads partitions of a topic: all of them, or those that its group gives to this member. */

import { ByteReader } from '../../../base/bytes.ts'
import { isTroupeError, TroupeError } from '../../../base/error.ts'
import type { Millis, Timer } from '../../../base/time.ts'
import {
  decodeGroupState,
  encodeCommit,
  encodeJoin,
  encodeYield,
  GROUP_MAP,
  type GroupState,
  TOPIC_COMMAND,
  TOPIC_MAP,
} from '../../../machine/topic/command.ts'
import type { CallOptions, NamedTopic, RecordBatch, SubscribeOptions } from '../../contract.ts'
import { standing } from '../../contract-standing.ts'
import { commandVerb } from '../body.ts'
import { type LeaseParts, SessionLease } from '../lease/session-lease.ts'
import { Operation } from '../route/operation.ts'
import { Feed, type Spring } from '../stream/feed.ts'
import { watch } from '../stream/watch.ts'
import { Batch, type BatchHandler, PartitionReader } from './partition.ts'

const JOIN = commandVerb(TOPIC_COMMAND.join)
const YIELD = commandVerb(TOPIC_COMMAND.yield)
const COMMIT = commandVerb(TOPIC_COMMAND.commit)
const MEMBER_TTL_MS = 10_000
/** Whoever leaves waits no longer than this to be heard. */
const FAREWELL_MS = 2000
/** How long a partition that is to be yielded waits for the commit of what is being handled. */
const GRACE_MS = 5000
const AGAIN_MS = 200
/** Whatever of these happens, the member joins again. */
const PASSING = [
  'LEASE_LOST',
  'FENCED',
  'COMPACTED',
  'TIMEOUT',
  'OUTCOME_UNKNOWN',
  'NO_QUORUM',
  'OVERLOADED',
  'UNREACHABLE',
] as const

export interface SubscriptionParts extends LeaseParts {
  /** Makes sure that the topic's rules are known. */
  readonly prepare: () => Promise<unknown>
  /** Where a partition begins that nobody has committed. */
  readonly beginning: (topic: string, partition: number) => Promise<number>
  readonly groupOf: (topic: string, partition: number) => number
  /** Those that the subscription is about, which may become more when it is about a pattern. */
  readonly topics: () => Promise<readonly NamedTopic[]>
  readonly isPattern: boolean
}

/** Gives credit back for what its consumer takes. */
export function batches(
  spring: BatchHandler & { readonly feed: Feed<RecordBatch> },
): AsyncIterator<RecordBatch, undefined> {
  return {
    async next() {
      spring.look()
      const result = await spring.feed.next()
      if (result.done !== true && result.value instanceof Batch) result.value.reader.taken(result.value)
      return result
    },
    return: () => spring.feed.return(),
  }
}

export class Ephemeral implements Spring, BatchHandler {
  readonly feed: Feed<RecordBatch>
  readonly #parts: SubscriptionParts
  readonly #options: SubscribeOptions
  readonly #readers = new Map<string, readonly PartitionReader[]>()
  readonly #over = new AbortController()

  constructor(options: SubscribeOptions, parts: SubscriptionParts) {
    this.#parts = parts
    this.#options = options
    this.feed = new Feed(parts.router, options.signal, this)
  }

  begin(): void {
    this.#open().catch((error: unknown) => this.feed.fail(error))
  }

  end(): void {
    this.#over.abort()
    for (const readers of this.#readers.values()) for (const reader of readers) reader.stop()
  }

  received(batch: Batch): void {
    this.feed.push(batch)
  }

  async commit(): Promise<void> {}

  look(): void {}

  /** A subscription by a pattern goes on with the others, and with a topic that comes under this name. */
  deleted({ topic }: PartitionReader): void {
    const readers = this.#readers.get(topic)
    if (readers === undefined) return
    this.#readers.delete(topic)
    for (const reader of readers) reader.stop()
    if (this.#parts.isPattern) this.#again().catch((error: unknown) => this.feed.fail(error))
    else this.feed.fail(new TroupeError('CLOSED', `topic '${topic}' was deleted`))
  }

  /** It may have come already. */
  async #again(): Promise<void> {
    await this.#follow(await this.#parts.topics(), async () => 0)
  }

  async #open(): Promise<void> {
    const { prepare, isPattern, topics, beginning } = this.#parts
    await prepare()
    if (!isPattern) {
      await this.#follow(await topics(), beginning)
      return
    }
    // What is there is read from where the options say, what comes later from its first record on.
    for (let from = beginning; !this.#over.signal.aborted; from = async () => 0) {
      try {
        await this.#followAll(from)
      } catch (error) {
        if (this.#over.signal.aborted) return
        if (!isTroupeError(error, 'COMPACTED')) throw error
      }
    }
  }

  async #followAll(from: SubscriptionParts['beginning']): Promise<void> {
    const { router, ports, topics } = this.#parts
    const { signal } = this.#over
    // Every shard is told of a topic before anything is published to it.
    const { changes, first } = await standing((onStanding) =>
      watch(router, ports, { map: TOPIC_MAP, from: '', until: '', shard: 0 }, { signal, onStanding }),
    )
    await this.#follow(await topics(), from)
    for (let next = await first; next.done !== true; next = await changes.next()) {
      await this.#follow(await topics(), async () => 0)
    }
  }

  async #follow(topics: readonly NamedTopic[], from: SubscriptionParts['beginning']): Promise<void> {
    const { router, ports, groupOf } = this.#parts
    const added = topics.filter(({ name }) => !this.#readers.has(name))
    const readers = added.map(async ({ name, rules: { partitions } }) => {
      const offsets = await Promise.all(Array.from({ length: partitions }, (_, partition) => from(name, partition)))
      const all = offsets.map((offset, partition) => {
        const place = { topic: name, partition, group: groupOf(name, partition), offset, batch: this.#options.batch }
        return new PartitionReader(place, router, ports, this)
      })
      return [name, all] as const
    })
    for (const [name, all] of await Promise.all(readers)) {
      if (this.#over.signal.aborted) return
      this.#readers.set(name, all)
      for (const reader of all) reader.begin()
    }
  }
}

/** A partition that is to be yielded: since which generation, and until when at the latest. */
interface Yield {
  readonly generation: number
  readonly until: Millis
}

/** A partition that this member owns, or is to yield. */
interface Owned {
  readonly reader: PartitionReader
  readonly generation: number
  /** A batch that was handed out and is not committed. */
  open: Batch | undefined
}

export class Member implements Spring, BatchHandler {
  readonly feed: Feed<RecordBatch>
  readonly #topic: string
  readonly #group: string
  readonly #partitions: number
  readonly #parts: SubscriptionParts
  readonly #options: SubscribeOptions
  readonly #owned = new Map<number, Owned>()
  readonly #over = new AbortController()
  #lease: SessionLease | undefined
  readonly #yields = new Map<number, Yield>()
  #generation = 0
  /** Up to this generation everything was yielded. */
  #yielded = 0
  #grace: Timer | undefined

  constructor(
    name: { readonly topic: string; readonly group: string; readonly partitions: number },
    options: SubscribeOptions,
    parts: SubscriptionParts,
  ) {
    this.#topic = name.topic
    this.#group = name.group
    this.#partitions = name.partitions
    this.#parts = parts
    this.#options = options
    this.feed = new Feed(parts.router, options.signal, this)
  }

  begin(): void {
    this.#live().catch((error: unknown) => this.feed.fail(error))
  }

  /** Whoever reads no more is no longer a member: the group can be reset, and others have the partitions. */
  end(): Promise<void> {
    this.#over.abort()
    this.#loseAll()
    return this.#leave(FAREWELL_MS)
  }

  received(batch: Batch): void {
    this.look()
    const owned = this.#owned.get(batch.partition)
    if (owned?.reader !== batch.reader) return
    owned.open = batch
    this.feed.push(batch)
  }

  /** When this process stood still, others have its partitions before a timer says so. */
  look(): void {
    if (this.#lease?.lost.aborted === true) this.#loseAll()
  }

  /** Its group was deleted with the topic, and that is announced. */
  deleted(): void {}

  async commit(batch: Batch, options: CallOptions): Promise<void> {
    const owned = this.#owned.get(batch.partition)
    const lease = this.#lease
    if (owned?.reader !== batch.reader || lease === undefined || lease.isOver) throw fenced(batch)
    const { partition, next } = batch
    const command = { ...this.#me(lease), partition, offset: next, generation: owned.generation }
    const value = this.#parts.bodies.write((writer) => encodeCommit(writer, command))
    try {
      await this.#parts.router.submit(new Operation(COMMIT, { shard: lease.shard, value }), options)
    } catch (error) {
      if (isTroupeError(error, 'FENCED')) this.#lose(partition)
      throw error
    }
    if (owned.open === batch) owned.open = undefined
    this.#yieldWhatIsDone()
  }

  /** Joins, and joins again whenever the lease was lost. */
  async #live(): Promise<void> {
    await this.#parts.prepare()
    while (!this.#over.signal.aborted) {
      try {
        await this.#follow()
      } catch (error) {
        if (!this.#over.signal.aborted && !isTroupeError(error, ...PASSING)) throw error
      }
      this.#loseAll()
      // Its former self would keep its partitions for as long as its lease lives.
      await this.#leave(MEMBER_TTL_MS)
      await this.#pause()
    }
  }

  async #follow(): Promise<void> {
    const { router, ports, bodies } = this.#parts
    const key = `${this.#topic}/${this.#group}`
    await router.whenReady({ timeout: Number.POSITIVE_INFINITY })
    const shard = router.shardOf(GROUP_MAP, key)
    const lease = await SessionLease.grant(this.#parts, shard, MEMBER_TTL_MS, { timeout: MEMBER_TTL_MS })
    this.#lease = lease
    const signal = AbortSignal.any([this.#over.signal, lease.lost])
    // Before the join, so that no generation is missed.
    const { changes, first } = await standing((onStanding) =>
      watch(router, ports, { map: GROUP_MAP, from: key, until: `${key}\0`, shard }, { signal, onStanding }),
    )
    try {
      const value = bodies.write((writer) => encodeJoin(writer, this.#me(lease), this.#partitions))
      await router.submit(new Operation(JOIN, { shard, value }), { signal, timeout: MEMBER_TTL_MS })
      let isMember = false
      for (let next = await first; next.done !== true; next = await changes.next()) {
        if (next.value.type === 'set') {
          isMember = true
          await this.#assigned(decodeGroupState(new ByteReader(next.value.value)), lease)
        }
        // Before there was an assignment it is the end of the group that was there before.
        else if (isMember) return
      }
    } finally {
      await changes.return?.()
    }
  }

  /** What is to be yielded comes first: it counts as heard from now on. */
  async #assigned(state: GroupState, lease: SessionLease): Promise<void> {
    this.#generation = state.generation
    const given: [partition: number, committed: number | undefined][] = []
    for (const [partition, { owner, yielding, committed }] of state.partitions.entries()) {
      const owned = this.#owned.get(partition)
      if (yielding === lease.id) {
        this.#isToYield(partition)
        continue
      }
      const wasToYield = this.#yields.delete(partition)
      if (owner !== lease.id) this.#lose(partition)
      else if (owned === undefined) given.push([partition, committed])
      // The member that it was for has gone: it is read on from where it stopped, as a commit may be newer than the
      // announcement.
      else if (wasToYield) owned.reader.begin()
    }
    this.#yieldWhatIsDone()
    for (const [partition, committed] of given) await this.#take(partition, committed)
  }

  /** Its time runs from when this was first heard, however often the group changes meanwhile. */
  #isToYield(partition: number): void {
    if (this.#yields.has(partition)) return
    this.#yields.set(partition, { generation: this.#generation, until: this.#parts.ports.clock.now() + GRACE_MS })
    this.#owned.get(partition)?.reader.stop()
  }

  async #take(partition: number, committed: number | undefined): Promise<void> {
    const offset = committed ?? (await this.#parts.beginning(this.#topic, partition))
    if (this.#over.signal.aborted) return
    const group = this.#parts.groupOf(this.#topic, partition)
    const place = { topic: this.#topic, partition, group, offset, batch: this.#options.batch }
    const reader = new PartitionReader(place, this.#parts.router, this.#parts.ports, this)
    this.#owned.set(partition, { reader, generation: this.#generation, open: undefined })
    reader.begin()
  }

  /** Partitions of a generation are yielded together, once nothing of them is being handled or its time is over. */
  #yieldWhatIsDone(): void {
    const { clock, scheduler } = this.#parts.ports
    const lease = this.#lease
    this.#grace?.cancel()
    if (lease === undefined) return
    const now = clock.now()
    const isHandled = ([partition, { until }]: [number, Yield]): boolean =>
      until > now && this.#owned.get(partition)?.open !== undefined
    const waiting = [...this.#yields].filter(isHandled).map(([, each]) => each)
    if (waiting.length > 0) {
      this.#grace = scheduler.at(Math.min(...waiting.map(({ until }) => until)), () => this.#yieldWhatIsDone())
    }
    const below = Math.min(...waiting.map(({ generation }) => generation))
    const done = [...this.#yields].filter(([, { generation }]) => generation < below)
    // One with nothing open stays, in case it comes back: all that was read of it is committed.
    for (const [partition] of done) if (this.#owned.get(partition)?.open !== undefined) this.#lose(partition)
    const upTo = Math.max(0, ...done.map(([, { generation }]) => generation))
    if (upTo <= this.#yielded) return
    this.#yielded = upTo
    this.#yield(lease, upTo).catch((error: unknown) => this.feed.fail(error))
  }

  /** Until it has been heard; when the lease is gone, so are the partitions. */
  async #yield(lease: SessionLease, generation: number): Promise<void> {
    while (!lease.isOver) {
      const value = this.#parts.bodies.write((writer) => encodeYield(writer, this.#me(lease), generation))
      try {
        await this.#parts.router.submit(new Operation(YIELD, { shard: lease.shard, value }), { timeout: GRACE_MS })
        return
      } catch (error) {
        if (!isTroupeError(error, ...PASSING)) throw error
      }
      await this.#pause()
    }
  }

  #pause(): Promise<void> {
    const { clock, scheduler } = this.#parts.ports
    return new Promise((resolve) => scheduler.at(clock.now() + AGAIN_MS, resolve))
  }

  #lose(partition: number): void {
    const owned = this.#owned.get(partition)
    if (owned === undefined) return
    this.#owned.delete(partition)
    owned.reader.lose()
    this.feed.drop((batch) => batch instanceof Batch && batch.reader === owned.reader)
  }

  /** Its partitions pass on when the lease ends; if this fails, when it has run out. */
  async #leave(timeout: Millis): Promise<void> {
    await this.#lease?.end({ timeout }).catch(() => {})
  }

  #loseAll(): void {
    this.#grace?.cancel()
    this.#yields.clear()
    this.#yielded = 0
    for (const partition of this.#owned.keys()) this.#lose(partition)
  }

  #me(lease: SessionLease): { readonly topic: string; readonly group: string; readonly lease: number } {
    return { topic: this.#topic, group: this.#group, lease: lease.id }
  }
}

function fenced({ partition, topic }: Batch): TroupeError {
  return new TroupeError('FENCED', `partition ${partition} of '${topic}' belongs to another member`)
}

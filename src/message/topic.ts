/** A topic is a log of records in partitions, which many read, each at its own pace. */

import { checkFlag, invalidArgument, refuseUnknownOptions } from '../base/argument.ts'
import type { Millis, WallMillis } from '../base/time.ts'
import type { SelfFitting } from '../data/map.ts'
import { checkName, checkSchema, placedName } from '../data/name.ts'
import type { InputOf, OutputOf, StandardSchema } from '../data/schema.ts'
import type {
  CallOptions,
  Fence,
  GroupOffsets,
  PartitionStatus,
  Position,
  Published,
  TopicRules,
} from '../driver/contract.ts'

/** Names a topic and says what it holds and keeps. Made by {@link defineTopic}. */
export interface TopicDefinition<Value, Input = Value> {
  readonly kind: 'topic'
  /** With its placement, if it has one: `name@placement`. */
  readonly name: string
  readonly schema: StandardSchema<Input, Value> | undefined
  readonly rules: TopicRules
}

/** What a topic keeps, and how many can share its reading. */
export interface TopicOptions {
  /** What has the same placement has its equal keys in the same shard, so that one commit can change them together. */
  readonly placement?: string
  /** How many readers of a group can share the work; default 8, at most 1,024. Fixed with the first use of the topic. */
  readonly partitions?: number
  /** What is kept: records younger than `age` milliseconds (default 7 days), and of each partition at most `bytes` and `count`. */
  readonly retention?: { readonly age?: Millis; readonly bytes?: number; readonly count?: number }
  /**
   * Of older records with the same key only the newest is kept; a value of null deletes a key. Default false; then
   * nothing ages by default.
   */
  readonly compact?: boolean
}

/** The options of a topic whose values have a schema. */
export interface TopicSchemaOptions<Schema> extends TopicOptions {
  /** Checks values when they are published, and again when they are read. */
  readonly schema: Schema
}

const DEFINITION_OPTIONS: ReadonlySet<string> = new Set(['schema', 'placement', 'partitions', 'retention', 'compact'])
const RETENTION_OPTIONS: ReadonlySet<string> = new Set(['age', 'bytes', 'count'])
const WEEK_MS = 7 * 24 * 3_600_000
const MOST_PARTITIONS = 1024

/**
 * Defines a topic. Nothing is created: a topic exists as soon as it holds something.
 *
 * @param name 1 to 128 of `A–Z a–z 0–9 . _ : / -`; dots divide it into the parts that patterns match
 * @throws TroupeError `INVALID_ARGUMENT`
 * @example
 * const orders = defineTopic('orders', { schema: OrderEvent, partitions: 8, retention: { age: 30 * 86_400_000 } })
 */
export function defineTopic<Schema extends StandardSchema>(
  name: string,
  options: TopicSchemaOptions<Schema & SelfFitting<Schema>>,
): TopicDefinition<OutputOf<Schema>, InputOf<Schema>>
export function defineTopic<Value = unknown>(name: string, options?: TopicOptions): TopicDefinition<Value>
export function defineTopic(
  name: string,
  options: TopicOptions & { readonly schema?: StandardSchema } = {},
): TopicDefinition<unknown> {
  checkName('a topic', name)
  refuseUnknownOptions('defineTopic', options, DEFINITION_OPTIONS)
  const { schema, placement, partitions = 8, retention = {}, compact = false } = options
  checkSchema(`topic '${name}'`, schema)
  checkFlag('compact', compact)
  refuseUnknownOptions('retention', retention, RETENTION_OPTIONS)
  if (!(Number.isSafeInteger(partitions) && partitions >= 1 && partitions <= MOST_PARTITIONS)) {
    throw invalidArgument(`partitions is a whole number from 1 to ${MOST_PARTITIONS}`)
  }
  const rules: TopicRules = {
    partitions,
    keepMs: limit('retention.age', retention.age ?? (compact ? Number.POSITIVE_INFINITY : WEEK_MS)),
    keepBytes: limit('retention.bytes', retention.bytes ?? Number.POSITIVE_INFINITY),
    keepCount: limit('retention.count', retention.count ?? Number.POSITIVE_INFINITY),
    compact,
  }
  return { kind: 'topic', name: placedName(name, placement), schema, rules }
}

/**
 * A name in which `*` stands for any one part between dots, and `>` at the end for one or more: all topics whose names
 * match.
 *
 * @throws TroupeError `INVALID_ARGUMENT`
 */
export function topicPattern(pattern: string): TopicDefinition<unknown> {
  const parts = typeof pattern === 'string' ? pattern.split('.') : ['']
  const isPattern = parts.some((part) => part === '*' || part === '>')
  const isSound = parts.every((part, at) => part !== '>' || at === parts.length - 1)
  if (!isPattern || !isSound) {
    throw invalidArgument(
      `a pattern such as 'orders.*' or 'orders.>' names topics, unlike '${String(pattern).slice(0, 140)}'`,
    )
  }
  checkName('a pattern', parts.map((part) => (part === '*' || part === '>' ? '-' : part)).join('.'))
  return { ...defineTopic('-'), name: pattern }
}

function limit(option: string, value: number): number {
  const isNumber = typeof value === 'number' && value >= 1 && value <= Number.MAX_SAFE_INTEGER
  if (isNumber || value === Number.POSITIVE_INFINITY) return value
  throw invalidArgument(`${option} is a number from 1 to 2^53 - 1, or Infinity`)
}

/** What travels with a record, and on what it depends. */
export interface PublishOptions extends CallOptions {
  /** Records of one key share a partition, and so keep their order; none spreads them. */
  readonly key?: string
  /** Texts that travel along; `traceparent` and `tracestate` are W3C trace context. */
  readonly headers?: Readonly<Record<string, string>>
  /** A lock or office that this relies on: refused with `FENCED` once a newer token has been seen. */
  readonly fence?: Fence
}

/** A record as a reader gets it. */
export interface TopicRecord<Value> {
  readonly topic: string
  readonly partition: number
  /** Its place in the partition: 0 for the first, and growing. */
  readonly offset: bigint
  /** When it was published, by the time of its shard's leader. */
  readonly time: WallMillis
  readonly key: string
  readonly value: Value
  readonly headers: Readonly<Record<string, string>>
}

/** Records of one partition, in order. */
export interface TopicBatch<Value> {
  readonly topic: string
  readonly partition: number
  readonly records: readonly TopicRecord<Value>[]
  /** How many offsets lie between this batch and the end of its partition, and for how long, at most, the first of them has waited. */
  readonly lag: { readonly records: number; readonly ms: Millis }
  /** Aborts with `LEASE_LOST` when the partition belongs to another member of the group. */
  readonly signal: AbortSignal
  /** Everything up to and with this batch is done; `FENCED` when the partition belongs to another. */
  commit(options?: CallOptions): Promise<void>
}

/** Who reads a topic, from where, and how much at once. */
export interface TopicSubscribeOptions {
  /** Ends the subscription: the loop throws the signal's reason, unless it is `troupe.signal` that ends in order. */
  readonly signal?: AbortSignal
  /** A durable group: its members share the partitions, and it goes on where it has committed. Without one, everybody reads everything. */
  readonly group?: string
  /** Where to begin, for a group only the first time; default `'latest'`, and `'earliest'` for a group. */
  readonly from?: Position
  /** Most records of a batch; default 256. */
  readonly batch?: number
  /** Commits a batch when the next one is asked for; default false. */
  readonly autoCommit?: boolean
}

/** Of a subscription to many topics, which has no group. */
export type PatternSubscribeOptions = Pick<TopicSubscribeOptions, 'signal' | 'from' | 'batch'>

/** The newest value of each key of a compacted topic, kept up to date while it is open. */
export interface TableView<Value> extends AsyncDisposable {
  /** At once and without a promise: everything is in this process. */
  get(key: string): Value | undefined
  /** How many keys there are. */
  readonly size: number
  entries(): IterableIterator<[string, Value]>
  /** Rejects when the view can no longer be kept up to date. */
  readonly ended: Promise<void>
  close(): Promise<void>
}

/**
 * A handle on a topic: light, stateless, free to make. Every reader sees the records of a partition in the same order.
 * Values are whatever structured clone can carry, up to 1 MiB.
 *
 * Calls reject with a `TroupeError`: `INVALID_ARGUMENT`, `VALIDATION`, `TOO_LARGE`, `UNSERIALIZABLE` before anything
 * was sent; `FENCED`, `CONFLICT`, `UNSUPPORTED`, `NO_QUORUM`, `TIMEOUT`, `OVERLOADED`, `UNREACHABLE`, `CLOSED` when
 * nothing has changed; `OUTCOME_UNKNOWN` when it may have happened.
 */
export interface TroupeTopic<Value, Input = Value> {
  readonly name: string
  /**
   * Resolves once a majority has the record on disk.
   *
   * @example
   * const { partition, offset } = await topic.publish({ id: 7 }, { key: 'customer-9' })
   */
  publish(value: Input, options?: PublishOptions): Promise<Published>
  /** Publishes them together, with the same options. Rejects with the first failure when all have ended; the others may be there. */
  publishAll(values: Iterable<Input>, options?: PublishOptions): Promise<readonly Published[]>
  /**
   * Batches as they come. The loop ends with the Troupe.
   *
   * @example
   * for await (const batch of topic.subscribe({ group: 'billing' })) {
   *   for (const { value } of batch.records) await bill(value)
   *   await batch.commit()
   * }
   */
  subscribe(options?: TopicSubscribeOptions): AsyncIterable<TopicBatch<Value>>
  /**
   * Resolves with a view that holds everything that had been published when it was asked for; without a `timeout` that
   * takes as long as it takes. A `signal` ends the view, too.
   *
   * @example
   * await using prices = await troupe.topic(defineTopic<number>('prices', { compact: true })).table()
   * console.log(prices.get('tea'))
   */
  table(options?: CallOptions): Promise<TableView<Value>>
  /** How far each group is, who its members are, and how long the first record that it lacks has waited. */
  groups(options?: CallOptions): Promise<readonly GroupOffsets[]>
  /** What each partition keeps: after retention and compaction, `first` and `records` say what is left. */
  partitions(options?: CallOptions): Promise<readonly PartitionStatus[]>
  /**
   * Sets where a group goes on; `CONFLICT` while it has members.
   *
   * @example
   * await topic.reset('billing', { time: Date.now() - 3_600_000 })
   */
  reset(group: string, to: Position, options?: CallOptions): Promise<void>
  /**
   * Deletes the topic: its records, its rules and where its groups are. `CONFLICT` while a group has members: end them
   * first. Subscriptions without a group end with `CLOSED`, but for those by a pattern. Whoever uses the topic
   * afterwards makes it anew, with offsets from 0.
   */
  delete(options?: CallOptions): Promise<void>
}

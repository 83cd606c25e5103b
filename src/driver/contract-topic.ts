/** The topic facet is what the front knows of partitioned logs that many read. */

import type { Millis, WallMillis } from '../base/time.ts'
import type { CallOptions, Fence, Receipt } from './contract-call.ts'

/** Infinity for no limit. */
export interface TopicRules {
  readonly partitions: number
  readonly keepMs: Millis
  readonly keepBytes: number
  readonly keepCount: number
  readonly compact: boolean
}

/** A topic by its name, with its rules. */
export interface NamedTopic {
  /** With its placement: `name` or `name@placement`. */
  readonly name: string
  readonly rules: TopicRules
}

/** A record on its way to a topic. */
export interface OutgoingRecord {
  /** Records of a key share a partition; `''` spreads. */
  readonly key: string
  readonly payload: Uint8Array
  readonly headers: Readonly<Record<string, string>>
}

/** A record as a topic keeps it. */
export interface ReadRecord extends OutgoingRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  readonly time: WallMillis
}

/** Where a record has got its place. */
export interface Published {
  readonly partition: number
  readonly offset: bigint
  readonly receipt: Receipt
}

/** A place in a topic: its beginning, its end, a point of time, or an offset for each partition. */
export type Position =
  | 'earliest'
  | 'latest'
  | { readonly time: WallMillis }
  | { readonly offsets: ReadonlyMap<number, bigint> }

/** Who reads a topic, from where, and how much at once. */
export interface SubscribeOptions {
  readonly signal?: AbortSignal
  /** A durable consumer group; without one the subscription is ephemeral and begins at `from`. */
  readonly group?: string
  /** Where a group without an offset begins. Default `'latest'`; `'earliest'` for a group. */
  readonly from?: Position
  /** Most records in one batch. */
  readonly batch: number
}

/** Records of one partition. */
export interface RecordBatch {
  readonly topic: string
  readonly partition: number
  readonly records: readonly ReadRecord[]
  /** How many offsets lie between this batch and the partition's end, and for how long, at most, the first of them has waited. */
  readonly lag: { readonly records: number; readonly ms: Millis }
  /** Aborts with `LEASE_LOST` when the partition belongs to another member. */
  readonly lost: AbortSignal
  /**
   * Everything up to and with this batch is done; rejects with `FENCED` when the partition belongs to another. Without
   * a group nothing happens.
   */
  commit(options: CallOptions): Promise<void>
}

/** How far a consumer group has come, and who reads which partition for it. */
export interface GroupOffsets {
  readonly group: string
  readonly members: readonly { readonly member: string; readonly partitions: readonly number[] }[]
  readonly partitions: readonly {
    readonly partition: number
    readonly committed: bigint
    readonly end: bigint
    /** For how long the first record that is not committed has waited; 0 when there is none. */
    readonly lagMs: Millis
  }[]
}

/** What a partition keeps. */
export interface PartitionStatus {
  readonly partition: number
  /** Of the first record that is still kept, and one more than of the last; equal when nothing is kept. */
  readonly first: bigint
  readonly end: bigint
  readonly records: number
  readonly bytes: number
  /** When the newest record was published; undefined when there never was one. */
  readonly newest: WallMillis | undefined
}

/**
 * Promises: offsets of a partition begin at 0 and grow; every reader sees the same records in the same order; within a
 * group each partition has one owner at a time, and what a former owner commits is refused.
 */
export interface TopicFacet {
  /** With a fence, refused with `FENCED` when the partition's shard has seen a newer token of this name. */
  publish(
    topic: NamedTopic,
    record: OutgoingRecord,
    options: CallOptions & { readonly fence?: Fence },
  ): Promise<Published>
  /**
   * An ephemeral one may name topics by a pattern: `*` stands for one part between dots, `>` for the rest. What is
   * published to a topic that came later is read from its first record on.
   */
  subscribe(topic: NamedTopic, options: SubscribeOptions): AsyncIterable<RecordBatch>
  groups(topic: string, options: CallOptions): Promise<readonly GroupOffsets[]>
  /** Only while the group has no members, else `CONFLICT`. */
  reset(topic: NamedTopic, group: string, to: Position, options: CallOptions): Promise<void>
  /**
   * Its records, rules and groups go. `CONFLICT` while a group has members; subscriptions without a group end with
   * `CLOSED`, but for those by a pattern. Whoever names the topic afterwards makes it anew, with offsets from 0.
   */
  delete(topic: string, options: CallOptions): Promise<void>
  partitions(topic: NamedTopic, options: CallOptions): Promise<readonly PartitionStatus[]>
  /** Every topic that holds something or has been named with rules, by name. */
  topics(options: CallOptions): Promise<readonly NamedTopic[]>
}

/** The commands and queries of topics and their groups: driver and machine agree here on their bytes. */

/**
 * A partition lives in the shard `shardOf(topic, partition)` (the number as decimal text), a group in `shardOf(GROUP_MAP, 'topic/group')`.
 * Bodies:
 * - `publish` `[topic text, partition u32, key text, headers blob, payload blob]`: number: the record's offset; offsets begin at 0 without gaps, but for compaction.
 * - `topicConfigure` `[topic text, settings]` in every shard; see {@link TopicSettings}. `truncate` `[topic text, partition u32, before u53]`.
 * - `join` `[topic text, group text, partitions u32, lease u53]`: number: the generation. A member lives by its lease. `leave` `[topic text, group text, lease u53]`.
 *   Every change of members is a new generation (a revision), announced with the assignment on {@link GROUP_MAP}. Partitions move as
 *   little as can be (cooperative); one that moves is first only taken from its owner, and given to the next in the following
 *   generation: when the owner has said `yield`, or its lease has ended.
 * - `yield` `[topic text, group text, lease u53, generation u53]`: what was taken from me is committed.
 * - `commit` `[topic text, group text, partition u32, offset u53, lease u53, generation u53]`: the offset of the next record to
 *   read. `fenced` unless the lease owns the partition or is still to yield it; a lease of 0 is an operator's, for groups without members.
 */
export const TOPIC_COMMAND = {
  publish: 96,
  topicConfigure: 97,
  truncate: 98,
  join: 99,
  leave: 100,
  yield: 101,
  commit: 102,
} as const

/**
 * Queries: `fetch` `[topic, partition u32, offset u53, bytes u32]`; `offsets` `[topic, partition u32, time u53]` → first, next, and the first offset at or after the
 * time; `group` `[topic, group]` → assignment and committed offsets; `groups`, `topics` `[after text, limit u32]`.
 */
export const TOPIC_QUERY = { fetch: 96, offsets: 97, group: 98, groups: 99, topics: 100 } as const

export const GROUP_MAP = '~group'

/** A record: `[offset u53, time u53, key text, headers blob, payload blob]`, times in leader's microseconds. */
export interface TopicRecord {
  readonly offset: number
  readonly time: number
  readonly key: string
  readonly headers: Uint8Array
  readonly payload: Uint8Array
}

/** Infinity is encoded as 0. Layout: `[version u8]`, then the fields in this order, numbers u53, compact u8. */
export interface TopicSettings {
  readonly partitions: number
  readonly keepMs: number
  /** Of each partition. */
  readonly keepBytes: number
  readonly keepCount: number
  /** Of older records with the same key only the newest is kept; an empty payload deletes a key. */
  readonly compact: boolean
}

/**
 * Where the records of a partition are kept. In memory for now; a store on disk takes its place behind this interface, so
 * nothing may assume that records fit in memory.
 */
export interface RecordStore {
  readonly first: number
  readonly next: number
  readonly bytes: number
  append(record: TopicRecord): void
  /** Encoded records from `offset` on, at least one if there is one, up to a limit of bytes. */
  read(
    offset: number,
    limitBytes: number,
  ): { readonly records: Uint8Array; readonly count: number; readonly next: number }
  /** The first offset whose record is of this time or later; `next` when there is none. */
  offsetAt(time: number): number
  dropBefore(offset: number): void
  freeze(): { chunks(): Iterable<Uint8Array>; release(): void }
}

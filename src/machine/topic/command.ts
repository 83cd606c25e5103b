/** The commands and queries of topics and their groups: driver and machine agree here on their bytes. */

import { ByteReader, type ByteWriter, malformed } from '../../base/bytes.ts'
import { HEADERS_LIMIT_BYTES } from '../../base/headers.ts'
import { KEY_LIMIT_BYTES, VALUE_LIMIT_BYTES } from '../../base/limit.ts'
import type { LeaderMicros } from '../batch.ts'

/**
 * A partition lives in the shard `shardOf(topic, partition)` (the number as decimal text), a group in
 * `shardOf(GROUP_MAP, 'topic/group')`; the name of a group has no `/`. Bodies:
 * - `publish` `[topic text, partition u32, key text, headers blob, payload blob]`: number: the record's offset; offsets
 *   begin at 0 without gaps, but for compaction. A topic that was never configured keeps everything. `conflict` with
 *   the number of partitions when it has no such partition.
 * - `topicConfigure` `[topic text, settings]` in every shard; see {@link TopicSettings}. Number: as of a queue's
 *   `configure` (below level 2: partitions), and `topicConfirm` is as its `confirm`. `conflict` with the present ones
 *   rather than others (below level 2: than fewer): keys would move, and the order of their records would end. A topic
 *   can only be deleted and made anew.
 * - `join` `[topic text, group text, partitions u32, lease u53]`: number: the generation. A member lives by its lease:
 *   `fenced` without such a lease; `full` above a limit. Joining again changes nothing. `leave`
 *   `[topic text, group text, lease u53]`: `absent` when it is no member. Every change of members is a new generation
 *   (a revision), announced with the assignment on {@link GROUP_MAP}. Partitions move as little as can be
 *   (cooperative); one that moves is first only taken from its owner, and given to the next in the following
 *   generation: when the owner has said `yield`, or its lease has ended.
 * - `yield` `[topic text, group text, lease u53, generation u53]`: what was taken from me, up to and with that
 *   generation, is committed. Number: the generation now. `fenced` for no member.
 * - `commit` `[topic text, group text, partition u32, offset u53, lease u53, generation u53]`: the offset of the next
 *   record to read. `fenced`, with the generation now, unless the lease owns the partition or is still to yield it, and
 *   has had it since `generation` or before: send the generation in which the records were received. A lease of 0 is an
 *   operator's, for groups without members, else `conflict`; it founds a group that is not there. What was committed
 *   further stays (from level 2 on), unless it is an operator's.
 * - `topicDelete` `[topic text]` in every shard: its records, rules and groups go; what is published under its name
 *   later begins at 0. Number: how many records went. `absent` when there was none here. From level 2 on a record for a
 *   topic without rules is `unruled`.
 *
 * `publish` and `commit` may be parts of a transaction.
 */
export const TOPIC_COMMAND = {
  publish: 96,
  topicConfigure: 97,
  join: 99,
  leave: 100,
  yield: 101,
  commit: 102,
  topicDelete: 103,
  topicConfirm: 104,
} as const

/**
 * Queries: `fetch` `[topic, partition u32, offset u53, bytes u32]` → `[ok u8, next u53, count u32, records]`, where
 * `next` is the offset after the last of them; `offsets` `[topic, partition u32, time u53]` → {@link PartitionOffsets};
 * `group` `[topic, group]` → `[ok u8, generation u53, state]` (see {@link GroupState}) or `absent`; `groups`
 * `[after text, limit u32]` → `[ok u8, 0 u53, more u8, count u32, key text …]` in the order of the keys, `topic/group`;
 * `topics` `[after text, limit u32]` → `[ok u8, 0 u53, more u8, count u32, (topic text, settings) …]`. A page begins
 * after the key `after`; every shard knows every configured topic.
 */
export const TOPIC_QUERY = { fetch: 96, offsets: 97, group: 98, groups: 99, topics: 100 } as const

export const GROUP_MAP = '~group'
/** A topic that is configured for the first time is announced under its name, with its settings. */
export const TOPIC_MAP = '~topic'

/** Most topics of a shard, partitions of a topic, groups of a shard, and members of a group; beyond is `full`. */
export const TOPICS_LIMIT = 10_000
export const PARTITIONS_LIMIT = 1024
export const GROUPS_LIMIT = 10_000
export const MEMBERS_LIMIT = 1000

const SETTINGS_VERSION = 1

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
 * Where the records of a partition are kept. In memory for now; a store on disk takes its place behind this interface,
 * so nothing may assume that records fit in memory.
 */
export interface RecordStore {
  readonly first: number
  readonly next: number
  readonly bytes: number
  /** How many records. */
  readonly count: number
  /** Of the first record; Infinity when there is none. */
  readonly firstTime: LeaderMicros
  /** Of the newest record that there ever was; 0 before. */
  readonly lastTime: LeaderMicros
  /** Copies a record's content: its encoding from the key on. Returns its offset. */
  append(time: LeaderMicros, content: Uint8Array): number
  /** Encoded records from `offset` on, at least one if there is one, up to a limit of bytes. */
  read(
    offset: number,
    limitBytes: number,
  ): { readonly records: Uint8Array; readonly count: number; readonly next: number }
  /** The first offset whose record is of this time or later; `next` when there is none. */
  offsetAt(time: number): number
  dropBefore(offset: number): void
  /** Consecutive parts of at most 50,000 bytes or one record, which stay the same. */
  freeze(): { chunks(): Iterable<Uint8Array>; release(): void }
}

/** The body of a `publish`. */
export interface PublishCommand {
  readonly topic: string
  readonly partition: number
  readonly key: string
  /** See `base/headers.ts`. */
  readonly headers: Uint8Array
  readonly payload: Uint8Array
}

export interface MemberCommand {
  readonly topic: string
  readonly group: string
  readonly lease: number
}

export interface CommitCommand extends MemberCommand {
  readonly partition: number
  readonly offset: number
  readonly generation: number
}

// Encoders write bodies, without a command's head or a query's kind.

export function encodePublish(writer: ByteWriter, command: PublishCommand): void {
  writer.text(command.topic)
  writer.u32(command.partition)
  writer.text(command.key)
  writer.blob(command.headers)
  writer.blob(command.payload)
}

/** In the order of their bits in the number of `topicConfigure`. */
export const TOPIC_SETTINGS: readonly (keyof TopicSettings)[] = [
  'partitions',
  'keepMs',
  'keepBytes',
  'keepCount',
  'compact',
]

export function encodeTopicConfigure(writer: ByteWriter, topic: string, settings: TopicSettings): void {
  writer.text(topic)
  encodeTopicSettings(writer, settings)
}

export function encodeJoin(writer: ByteWriter, command: MemberCommand, partitions: number): void {
  writer.text(command.topic)
  writer.text(command.group)
  writer.u32(partitions)
  writer.u53(command.lease)
}

export function encodeLeave(writer: ByteWriter, command: MemberCommand): void {
  writer.text(command.topic)
  writer.text(command.group)
  writer.u53(command.lease)
}

export function encodeYield(writer: ByteWriter, command: MemberCommand, generation: number): void {
  encodeLeave(writer, command)
  writer.u53(generation)
}

export function encodeCommit(writer: ByteWriter, command: CommitCommand): void {
  writer.text(command.topic)
  writer.text(command.group)
  writer.u32(command.partition)
  writer.u53(command.offset)
  writer.u53(command.lease)
  writer.u53(command.generation)
}

export function encodeFetch(
  writer: ByteWriter,
  query: { readonly topic: string; readonly partition: number; readonly offset: number; readonly limitBytes: number },
): void {
  writer.text(query.topic)
  writer.u32(query.partition)
  writer.u53(query.offset)
  writer.u32(query.limitBytes)
}

/** A `time` of 0 asks for the first record. */
export function encodeOffsets(writer: ByteWriter, topic: string, partition: number, time: LeaderMicros): void {
  writer.text(topic)
  writer.u32(partition)
  writer.u53(time)
}

export function encodeGroup(writer: ByteWriter, topic: string, group: string): void {
  writer.text(topic)
  writer.text(group)
}

/** For `groups`, `topics`, `schedules`. */
export function encodePage(writer: ByteWriter, after: string, limit: number): void {
  writer.text(after)
  writer.u32(limit)
}

export function encodeTopicSettings(writer: ByteWriter, settings: TopicSettings): void {
  writer.u8(SETTINGS_VERSION)
  for (const limit of [settings.partitions, settings.keepMs, settings.keepBytes, settings.keepCount]) {
    writer.u53(Number.isFinite(limit) ? limit : 0)
  }
  writer.u8(settings.compact ? 1 : 0)
}

export function decodeTopicSettings(reader: ByteReader): TopicSettings {
  if (reader.u8() !== SETTINGS_VERSION) throw malformed('settings of a topic are of another version')
  const partitions = reader.u53()
  if (partitions === 0 || partitions > PARTITIONS_LIMIT) throw malformed('a topic has 1 to 1024 partitions')
  const limit = () => reader.u53() || Number.POSITIVE_INFINITY
  const settings = { partitions, keepMs: limit(), keepBytes: limit(), keepCount: limit() }
  const compact = reader.u8()
  if (compact > 1) throw malformed('a topic is compacted or not')
  return { ...settings, compact: compact === 1 }
}

/** Keys, headers and payloads of records are views. */
export function decodeRecords(records: Uint8Array): TopicRecord[] {
  const reader = new ByteReader(records)
  const decoded: TopicRecord[] = []
  while (reader.remaining > 0) decoded.push(decodeRecord(reader))
  return decoded
}

function decodeRecord(reader: ByteReader): TopicRecord {
  return {
    offset: reader.u53(),
    time: reader.u53(),
    key: reader.text(KEY_LIMIT_BYTES),
    headers: reader.blob(HEADERS_LIMIT_BYTES),
    payload: reader.blob(VALUE_LIMIT_BYTES),
  }
}

/** `[ok u8, next u53, first u53, at u53, lastTime u53, count u53, bytes u53]` */
export interface PartitionOffsets {
  readonly next: number
  readonly first: number
  /** The first offset whose record is of the time that was asked for, or later; `next` when there is none. */
  readonly at: number
  /** Of the newest record; 0 when there was none. */
  readonly lastTime: LeaderMicros
  readonly count: number
  readonly bytes: number
}

/** Reads what follows the status. */
export function decodePartitionOffsets(reader: ByteReader): PartitionOffsets {
  return {
    next: reader.u53(),
    first: reader.u53(),
    at: reader.u53(),
    lastTime: reader.u53(),
    count: reader.u53(),
    bytes: reader.u53(),
  }
}

/**
 * A group as it is announced and asked for. Layout:
 * `[generation u53, members u32, lease u53 …, partitions u32, (stage u8, member u16, committed u53) …]`; `stage` is 0
 * for a partition of nobody, 1 for one that is owned, 2 for one that its former owner is to yield; `member` the place
 * of the owner among the members; `committed` one more than the offset, 0 for none.
 */
export interface GroupState {
  readonly generation: number
  /** Leases, in the order in which they joined. */
  readonly members: readonly number[]
  readonly partitions: readonly PartitionState[]
}

export interface PartitionState {
  /** The lease that may read; 0 for nobody. */
  readonly owner: number
  /** The lease that is to yield it, and may only commit; 0 for nobody. Never while there is an owner. */
  readonly yielding: number
  /** The offset of the next record to read; undefined when none was ever committed. */
  readonly committed: number | undefined
}

export function encodeGroupState(writer: ByteWriter, state: GroupState): void {
  const places = new Map(state.members.map((lease, place) => [lease, place]))
  writer.u53(state.generation)
  writer.u32(state.members.length)
  for (const lease of state.members) writer.u53(lease)
  writer.u32(state.partitions.length)
  for (const { owner, yielding, committed } of state.partitions) {
    writer.u8(owner > 0 ? 1 : yielding > 0 ? 2 : 0)
    writer.u16(places.get(owner || yielding) ?? 0)
    writer.u53(committed === undefined ? 0 : committed + 1)
  }
}

export function decodeGroupState(reader: ByteReader): GroupState {
  const generation = reader.u53()
  const members: number[] = []
  for (let left = reader.u32(); left > 0; left--) members.push(reader.u53())
  const partitions: PartitionState[] = []
  for (let left = reader.u32(); left > 0; left--) {
    const stage = reader.u8()
    const member = members[reader.u16()] ?? 0
    const committed = reader.u53()
    if (stage > 2 || (stage > 0 && member === 0)) throw malformed('no such owner of a partition')
    partitions.push({
      owner: stage === 1 ? member : 0,
      yielding: stage === 2 ? member : 0,
      committed: committed === 0 ? undefined : committed - 1,
    })
  }
  return { generation, members, partitions }
}

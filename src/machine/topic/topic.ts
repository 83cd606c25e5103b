/** The topics of a shard: partitions, which are logs of records, and the groups that read them. */

import { type ByteReader, ByteWriter, malformed } from '../../base/bytes.ts'
import { HEADERS_LIMIT_BYTES } from '../../base/headers.ts'
import { KEY_LIMIT_BYTES, VALUE_LIMIT_BYTES } from '../../base/limit.ts'
import type { LeaderMicros } from '../batch.ts'
import { expectEnd, STATUS } from '../command.ts'
import { differing } from '../differing.ts'
import { compareKeys } from '../key-order.ts'
import type { TopicView } from '../leader-view.ts'
import { type Level, RULED_LEVEL } from '../level.ts'
import { type FrozenTable, type Neighbours, TABLE, type Table, type Task } from '../table.ts'
import { expectVersion } from '../version.ts'
import {
  decodeTopicSettings,
  encodeTopicSettings,
  PARTITIONS_LIMIT,
  TOPIC_COMMAND,
  TOPIC_MAP,
  TOPIC_QUERY,
  TOPIC_SETTINGS,
  TOPICS_LIMIT,
  type TopicSettings,
} from './command.ts'
import { Groups } from './groups.ts'
import { Partition } from './partition.ts'

const VERSION = 1
/** What a section holds; its second byte. */
const SECTION = { topic: 1, partition: 2, records: 3, group: 4 } as const
const MOST_PAGE_ENTRIES = 1000
const MOST_FETCH_BYTES = 1024 * 1024

/** From this level on a topic's partitions do not become more: keys would move, and their records lose their order. */
const FIXED_LEVEL: Level = 2

/** Of a topic that was never configured. */
const EVERYTHING: TopicSettings = {
  partitions: PARTITIONS_LIMIT,
  keepMs: Number.POSITIVE_INFINITY,
  keepBytes: Number.POSITIVE_INFINITY,
  keepCount: Number.POSITIVE_INFINITY,
  compact: false,
}

interface Topic {
  settings: TopicSettings
  isConfigured: boolean
  /** Those that live in this shard and have had a record. */
  readonly partitions: Map<number, Partition>
}

/** Invariant: `dueAt` is no later than that of any partition, and may be earlier. */
export class TopicTable implements Table, TopicView {
  readonly type: number = TABLE.topic
  dueAt: LeaderMicros = Number.POSITIVE_INFINITY
  version = 0
  readonly #topics: Map<string, Topic> = new Map()
  readonly #neighbours: Neighbours
  readonly #groups: Groups
  /** The partition to which the sections of records belong. */
  #loading: Partition | undefined

  constructor(neighbours: Neighbours) {
    this.#neighbours = neighbours
    this.#groups = new Groups(neighbours)
  }

  /** Members that live by this lease leave their groups. */
  leaseEnded(lease: number, time: LeaderMicros): void {
    this.#groups.leaseEnded(lease, time)
  }

  run(task: Task): void {
    if (task.kind === TOPIC_COMMAND.publish) this.#publish(task, 'run')
    else if (task.kind === TOPIC_COMMAND.commit) this.#groups.commit(task, 'run')
    else if (task.kind === TOPIC_COMMAND.yield) this.#groups.yield(task)
    else if (task.kind === TOPIC_COMMAND.join) this.#groups.join(task)
    else if (task.kind === TOPIC_COMMAND.leave) this.#groups.leave(task)
    else if (task.kind === TOPIC_COMMAND.topicConfigure || task.kind === TOPIC_COMMAND.topicConfirm)
      this.#configure(task)
    else if (task.kind === TOPIC_COMMAND.topicDelete) this.#delete(task)
    else refuse(task)
  }

  check(task: Task): void {
    this.#part(task, 'check')
  }

  apply(task: Task): void {
    this.#part(task, 'apply')
  }

  read(topic: string, partition: number, offset: number, limitBytes: number): ReturnType<TopicView['read']> {
    return (
      this.#find(topic, partition)?.log.read(offset, limitBytes) ?? {
        records: new Uint8Array(0),
        count: 0,
        next: offset,
      }
    )
  }

  end(topic: string, partition: number): number {
    return this.#find(topic, partition)?.log.next ?? 0
  }

  query(kind: number, reader: ByteReader, reply: ByteWriter): boolean {
    if (kind === TOPIC_QUERY.fetch) return this.#fetch(reader, reply)
    if (kind === TOPIC_QUERY.offsets) return this.#offsets(reader, reply)
    if (kind === TOPIC_QUERY.group) return this.#groups.queryOne(reader, reply)
    if (kind === TOPIC_QUERY.groups) return answerPage(reader, reply, this.#groups.keys, (key) => reply.text(key))
    if (kind !== TOPIC_QUERY.topics) return false
    const configured = this.#names().filter((name) => this.#topics.get(name)?.isConfigured)
    return answerPage(reader, reply, configured, (name) => {
      reply.text(name)
      encodeTopicSettings(reply, this.#topics.get(name)?.settings ?? EVERYTHING)
    })
  }

  advance(time: LeaderMicros): void {
    this.dueAt = Number.POSITIVE_INFINITY
    for (const { partitions } of this.#topics.values()) {
      for (const partition of partitions.values()) {
        partition.advance(time)
        this.#await(partition)
      }
    }
  }

  freeze(): FrozenTable {
    const topics = this.#names().map((name) => {
      const topic = this.#topic(name)
      const partitions = [...topic.partitions].sort(([a], [b]) => a - b)
      return {
        section: encodeTopic(name, topic),
        partitions: partitions.map(([number, partition]) => {
          return { section: encodePartition(name, number, partition), log: partition.log.freeze() }
        }),
      }
    })
    const groups = this.#groups.encode()
    return {
      *sections(): Generator<Uint8Array> {
        for (const { section, partitions } of topics) {
          yield section
          for (const { section: head, log } of partitions) {
            yield head
            for (const chunk of log.chunks()) yield sectionOf(SECTION.records, (writer) => writer.raw(chunk))
          }
        }
        for (const group of groups) yield sectionOf(SECTION.group, (writer) => writer.raw(group))
      },
      release(): void {
        for (const { partitions } of topics) for (const { log } of partitions) log.release()
      },
    }
  }

  load(section: ByteReader): void {
    expectVersion('topics', section.u8(), VERSION)
    const kind = section.u8()
    if (kind === SECTION.topic) this.#loadTopic(section)
    else if (kind === SECTION.partition) this.#loadPartition(section)
    else if (kind === SECTION.group) this.#groups.load(section)
    else if (kind !== SECTION.records || this.#loading === undefined) throw malformed('no such section of topics')
    else {
      this.#loading.load(section)
      this.#await(this.#loading)
    }
  }

  #part(task: Task, step: 'check' | 'apply'): void {
    if (task.kind === TOPIC_COMMAND.publish) this.#publish(task, step)
    else if (task.kind === TOPIC_COMMAND.commit) this.#groups.commit(task, step)
    else refuse(task)
  }

  #publish({ reader, end, time, outcome, level }: Task, step: 'check' | 'apply' | 'run'): void {
    const name = readName(reader)
    const number = readPartition(reader)
    const content = reader.at
    const key = reader.text(KEY_LIMIT_BYTES)
    reader.blob(HEADERS_LIMIT_BYTES)
    reader.blob(VALUE_LIMIT_BYTES)
    expectEnd(reader, end)
    const partitions = this.#topics.get(name)?.settings.partitions ?? PARTITIONS_LIMIT
    outcome.status = number >= partitions ? STATUS.conflict : this.#hasRoom(name) ? STATUS.ok : STATUS.full
    outcome.revision = partitions
    if (step === 'apply') outcome.status = STATUS.ok
    if (outcome.status !== STATUS.ok || step === 'check') return
    const partition = this.#partition(name, number)
    outcome.revision = partition.publish(time, key, reader.bytes.subarray(content, end))
    if (partition.log.count === 1) this.#await(partition)
    this.version++
    if (level >= RULED_LEVEL && !this.#topic(name).isConfigured) outcome.status = STATUS.unruled
  }

  #configure({ kind, reader, end, outcome, time, level }: Task): void {
    const name = readName(reader)
    const settings = decodeTopicSettings(reader)
    expectEnd(reader, end)
    const known = this.#topics.get(name)
    const present = known?.isConfigured ? known.settings.partitions : 0
    const isOther = level < FIXED_LEVEL ? settings.partitions < present : present > 0 && settings.partitions !== present
    outcome.status = isOther ? STATUS.conflict : this.#hasRoom(name) ? STATUS.ok : STATUS.full
    outcome.revision = isOther ? present : settings.partitions
    if (outcome.status !== STATUS.ok) return
    if (level >= RULED_LEVEL)
      outcome.revision = known?.isConfigured ? differing(known.settings, settings, TOPIC_SETTINGS) : 0
    if (kind === TOPIC_COMMAND.topicConfirm && known?.isConfigured) return
    const topic = this.#topic(name)
    if (!topic.isConfigured) this.#announce(name, settings, time)
    topic.settings = settings
    topic.isConfigured = true
    for (const partition of topic.partitions.values()) {
      partition.configure(settings)
      this.#await(partition)
    }
  }

  #delete({ reader, end, outcome }: Task): void {
    const name = readName(reader)
    expectEnd(reader, end)
    const topic = this.#topics.get(name)
    outcome.status = topic === undefined ? STATUS.absent : STATUS.ok
    outcome.revision = 0
    for (const { log } of topic?.partitions.values() ?? []) outcome.revision += log.count
    this.#topics.delete(name)
    this.#groups.deleteOf(name)
    this.version++
  }

  #announce(name: string, settings: TopicSettings, time: LeaderMicros): void {
    const value = new ByteWriter(64)
    encodeTopicSettings(value, settings)
    this.#neighbours.announce({
      map: TOPIC_MAP,
      key: name,
      revision: this.#neighbours.revise(time),
      value: value.take(),
    })
  }

  #fetch(reader: ByteReader, reply: ByteWriter): boolean {
    const topic = readName(reader)
    const partition = readPartition(reader)
    const offset = reader.u53()
    const limit = Math.min(reader.u32(), MOST_FETCH_BYTES)
    if (reader.remaining > 0) return false
    const { records, count, next } = this.read(topic, partition, offset, limit)
    reply.u8(STATUS.ok)
    reply.u53(next)
    reply.u32(count)
    reply.raw(records)
    return true
  }

  #offsets(reader: ByteReader, reply: ByteWriter): boolean {
    const log = this.#find(readName(reader), readPartition(reader))?.log
    const time = reader.u53()
    if (reader.remaining > 0) return false
    reply.u8(STATUS.ok)
    const at = log?.offsetAt(time) ?? 0
    for (const number of [log?.next, log?.first, at, log?.lastTime, log?.count, log?.bytes]) reply.u53(number ?? 0)
    return true
  }

  #loadTopic(section: ByteReader): void {
    const name = readName(section)
    if (this.#topics.has(name)) throw malformed('a topic is there twice')
    const topic = this.#topic(name)
    topic.isConfigured = section.u8() === 1
    topic.settings = decodeTopicSettings(section)
  }

  #loadPartition(section: ByteReader): void {
    const name = readName(section)
    const number = readPartition(section)
    if (this.#topics.get(name)?.partitions.has(number) !== false) throw malformed('a partition is out of place')
    this.#loading = this.#partition(name, number)
    this.#loading.loadHead(section)
  }

  #await(partition: Partition): void {
    this.dueAt = Math.min(this.dueAt, partition.dueAt)
  }

  #hasRoom(name: string): boolean {
    return this.#topics.size < TOPICS_LIMIT || this.#topics.has(name)
  }

  #find(topic: string, partition: number): Partition | undefined {
    return this.#topics.get(topic)?.partitions.get(partition)
  }

  #topic(name: string): Topic {
    let topic = this.#topics.get(name)
    if (topic === undefined) {
      topic = { settings: EVERYTHING, isConfigured: false, partitions: new Map() }
      this.#topics.set(name, topic)
    }
    return topic
  }

  #partition(name: string, number: number): Partition {
    const { settings, partitions } = this.#topic(name)
    let partition = partitions.get(number)
    if (partition === undefined) {
      partition = new Partition(settings)
      partitions.set(number, partition)
    }
    return partition
  }

  #names(): readonly string[] {
    return [...this.#topics.keys()].sort(compareKeys)
  }
}

function encodeTopic(name: string, topic: Topic): Uint8Array {
  return sectionOf(SECTION.topic, (writer) => {
    writer.text(name)
    writer.u8(topic.isConfigured ? 1 : 0)
    encodeTopicSettings(writer, topic.settings)
  })
}

function encodePartition(name: string, number: number, partition: Partition): Uint8Array {
  return sectionOf(SECTION.partition, (writer) => {
    writer.text(name)
    writer.u32(number)
    partition.encodeHead(writer)
  })
}

function sectionOf(kind: number, encode: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter()
  writer.u8(VERSION)
  writer.u8(kind)
  encode(writer)
  return writer.take(0)
}

/** Answers `[after text, limit u32]` with a page of sorted keys. */
function answerPage(
  reader: ByteReader,
  reply: ByteWriter,
  keys: readonly string[],
  encode: (key: string) => void,
): boolean {
  const after = reader.text(KEY_LIMIT_BYTES)
  const limit = Math.max(1, Math.min(reader.u32(), MOST_PAGE_ENTRIES))
  if (reader.remaining > 0) return false
  const following = after === '' ? keys : keys.filter((key) => compareKeys(key, after) > 0)
  const page = following.slice(0, limit)
  reply.u8(STATUS.ok)
  reply.u53(0)
  reply.u8(following.length > page.length ? 1 : 0)
  reply.u32(page.length)
  for (const key of page) encode(key)
  return true
}

function readName(reader: ByteReader): string {
  const name = reader.text(KEY_LIMIT_BYTES)
  if (name === '') throw malformed('a topic has a name')
  return name
}

function readPartition(reader: ByteReader): number {
  const partition = reader.u32()
  if (partition >= PARTITIONS_LIMIT) throw malformed('a topic has at most 1024 partitions')
  return partition
}

function refuse({ outcome }: Task): void {
  outcome.status = STATUS.unsupported
  outcome.revision = 0
}

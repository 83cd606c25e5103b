/** The topics of the native driver: each partition lives in a shard, and a group in another. */

import { ByteReader, type ByteWriter } from '../../../base/bytes.ts'
import { isTroupeError, TroupeError } from '../../../base/error.ts'
import { encodeHeaders } from '../../../base/headers.ts'
import { ANSWER_HEAD_BYTES, COMMAND, decodeCommandReply } from '../../../machine/command.ts'
import {
  decodeGroupState,
  decodePartitionOffsets,
  decodeRecords,
  decodeTopicSettings,
  encodeCommit,
  encodeFetch,
  encodeGroup,
  encodeOffsets,
  encodePage,
  encodePublish,
  encodeTopicConfigure,
  GROUP_MAP,
  type GroupState,
  type PartitionOffsets,
  TOPIC_COMMAND,
  TOPIC_QUERY,
  TOPIC_SETTINGS,
} from '../../../machine/topic/command.ts'
import type {
  CallOptions,
  Fence,
  GroupOffsets,
  NamedTopic,
  OutgoingRecord,
  PartitionStatus,
  Position,
  Published,
  RecordBatch,
  SubscribeOptions,
  TopicFacet,
} from '../../contract.ts'
import { checkUnused } from '../../in-use.ts'
import { checkOffset } from '../../offset.ts'
import { ASK, Bodies, commandVerb, type Done, ruledVerb } from '../body.ts'
import { partitionOf } from '../effects.ts'
import { fenceOf } from '../lease/fence.ts'
import { Operation, type Verb } from '../route/operation.ts'
import type { Router } from '../route/router.ts'
import { RuleBook, type RuleKind, type RulePorts } from '../rules.ts'
import { Spread } from '../spread.ts'
import type { WatchPorts } from '../stream/shard-watch.ts'
import { batches, Ephemeral, Member, type SubscriptionParts } from './subscription.ts'

const DELETE = commandVerb(TOPIC_COMMAND.topicDelete)
const TRANSACTION = commandVerb(COMMAND.transaction)
const COMMIT = commandVerb(TOPIC_COMMAND.commit)
const KIND: RuleKind = {
  noun: 'topic',
  configure: commandVerb(TOPIC_COMMAND.topicConfigure),
  confirm: commandVerb(TOPIC_COMMAND.topicConfirm),
  fields: TOPIC_SETTINGS,
}
const PAGE_LIMIT = 1000
const ENDLESS: CallOptions = { timeout: Number.POSITIVE_INFINITY }

export class NativeTopics implements TopicFacet {
  readonly #router: Router
  readonly #ports: WatchPorts
  readonly #bodies = new Bodies()
  readonly #rules: RuleBook
  readonly #publishVerb: Verb<Done>
  /** The partitions of records without a key. */
  readonly #spread: Spread

  constructor(router: Router, ports: RulePorts) {
    this.#router = router
    this.#ports = ports
    this.#spread = new Spread(ports.scheduler)
    const home = (name: string): number => router.shardOf(name, '')
    this.#rules = new RuleBook(router, { ...ports, home }, this.#bodies, KIND)
    this.#publishVerb = ruledVerb(TOPIC_COMMAND.publish, (name) => this.#rules.renew(name))
  }

  publish(
    topic: NamedTopic,
    record: OutgoingRecord,
    options: CallOptions & { readonly fence?: Fence },
  ): Promise<Published> {
    if (this.#rules.has(topic.name, topic.rules)) return this.#publish(topic, record, options)
    return this.prepare(topic, options).then(() => this.#publish(topic, record, options))
  }

  subscribe(topic: NamedTopic, options: SubscribeOptions): AsyncIterable<RecordBatch> {
    const isPattern = /[*>]/.test(topic.name)
    const from = options.from ?? (options.group === undefined ? 'latest' : 'earliest')
    const parts: SubscriptionParts = {
      router: this.#router,
      ports: this.#ports,
      bodies: this.#bodies,
      isPattern,
      prepare: () => {
        // Somebody who only reads would not hear that the topic was deleted meanwhile.
        this.#rules.renew(topic.name)
        return isPattern ? this.#router.whenReady(ENDLESS) : this.prepare(topic, ENDLESS)
      },
      beginning: (name, partition) => this.#resolve(name, partition, from, ENDLESS),
      groupOf: (name, partition) => this.#router.shards[this.#router.shardOf(name, String(partition))] ?? 0,
      topics: async () =>
        isPattern ? (await this.topics(ENDLESS)).filter(({ name }) => matches(topic.name, name)) : [topic],
    }
    const { group } = options
    const name = { topic: topic.name, partitions: topic.rules.partitions }
    return {
      [Symbol.asyncIterator]: () =>
        batches(group === undefined ? new Ephemeral(options, parts) : new Member({ ...name, group }, options, parts)),
    }
  }

  async groups(topic: string, options: CallOptions): Promise<readonly GroupOffsets[]> {
    const found: GroupOffsets[] = []
    await this.#pages(
      TOPIC_QUERY.groups,
      options,
      (reader) => reader.text(),
      async (key) => {
        const at = key.lastIndexOf('/')
        if (key.slice(0, at) === topic) found.push(await this.#groupOffsets(topic, key.slice(at + 1), options))
      },
    )
    return found
  }

  async reset(topic: NamedTopic, group: string, to: Position, options: CallOptions): Promise<void> {
    await this.prepare(topic, options)
    const state = await this.#groupState(topic.name, group, options)
    if (state !== undefined && state.members.length > 0) {
      throw new TroupeError('CONFLICT', `group '${group}' has ${state.members.length} members; end them first`)
    }
    const partitions = Array.from({ length: topic.rules.partitions }, (_, partition) => partition)
    const resolved = partitions.map((partition) => this.#resolve(topic.name, partition, to, options))
    for (const [partition, offset] of (await Promise.all(resolved)).entries()) {
      const command = { topic: topic.name, group, partition, offset, lease: 0, generation: state?.generation ?? 0 }
      const value = this.#bodies.write((writer) => encodeCommit(writer, command))
      const asked = { map: GROUP_MAP, key: `${topic.name}/${group}`, value }
      await this.#router.submit(new Operation(COMMIT, asked), options)
    }
  }

  async partitions({ name, rules }: NamedTopic, options: CallOptions): Promise<readonly PartitionStatus[]> {
    const all = Array.from({ length: rules.partitions }, async (_, partition): Promise<PartitionStatus> => {
      const { first, next, count, bytes, lastTime } = await this.#offsets(name, partition, { time: 0, options })
      const newest = lastTime === 0 ? undefined : lastTime / 1000
      return { partition, first: BigInt(first), end: BigInt(next), records: count, bytes, newest }
    })
    return Promise.all(all)
  }

  async delete(topic: string, options: CallOptions): Promise<void> {
    const groups = await this.groups(topic, options)
    checkUnused(`topic '${topic}'`, { members: groups.reduce((total, { members }) => total + members.length, 0) })
    const shards = await this.#router.whenReady(options)
    const value = this.#bodies.write((writer) => writer.text(topic))
    await Promise.all(shards.map((_, shard) => this.#router.submit(new Operation(DELETE, { shard, value }), options)))
    this.#rules.forget(topic)
  }

  /** Every configured topic; any shard knows them all. */
  async topics(options: CallOptions): Promise<readonly NamedTopic[]> {
    const found = new Map<string, NamedTopic>()
    const read = (reader: ByteReader): string => {
      const name = reader.text()
      found.set(name, { name, rules: decodeTopicSettings(reader) })
      return name
    }
    await this.#pages(TOPIC_QUERY.topics, options, read, async () => {})
    return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** Makes sure that all shards have the topic's rules. */
  async prepare({ name, rules }: NamedTopic, options: CallOptions): Promise<void> {
    if (this.#rules.has(name, rules)) return
    try {
      await this.#rules.publish(name, rules, (writer) => encodeTopicConfigure(writer, name, rules), options)
    } catch (error) {
      if (!isTroupeError(error, 'CONFLICT')) throw error
      throw otherPartitions(name, Number(error.details.revision))
    }
  }

  async #publish(
    topic: NamedTopic,
    record: OutgoingRecord,
    options: CallOptions & { readonly fence?: Fence },
  ): Promise<Published> {
    const { name, rules } = topic
    const { key, payload } = record
    const partition = key === '' ? this.#spread.among(rules.partitions) : partitionOf(key, rules.partitions)
    const command = { topic: name, partition, key, headers: encodeHeaders(record.headers), payload }
    const encode = (writer: ByteWriter): void => encodePublish(writer, command)
    const place = String(partition)
    const { fence } = options
    const shard = fence === undefined ? -1 : this.#router.shardOf(name, place)
    const operation =
      fence === undefined
        ? new Operation(this.#publishVerb, { map: name, key: place, value: this.#bodies.write(encode) })
        : new Operation(TRANSACTION, {
            shard,
            value: this.#bodies.transaction([
              fenceOf(this.#router, fence, shard),
              { kind: TOPIC_COMMAND.publish, encode },
            ]),
          })
    const { revision, receipt } = await this.#router.submit(operation, options)
    return { partition, offset: BigInt(revision), receipt }
  }

  async #resolve(topic: string, partition: number, position: Position, options: CallOptions): Promise<number> {
    const given = typeof position === 'object' && 'offsets' in position ? position.offsets.get(partition) : undefined
    const time = typeof position === 'object' && 'time' in position ? Math.max(0, Math.round(position.time * 1000)) : 0
    const { first, next, at } = await this.#offsets(topic, partition, { time, options })
    if (given !== undefined) return Number(checkOffset(given, { topic, partition, end: BigInt(next) }))
    if (position === 'latest') return next
    return time > 0 ? at : first
  }

  async #offsets(
    topic: string,
    partition: number,
    { time, options }: { readonly time: number; readonly options: CallOptions },
  ): Promise<PartitionOffsets> {
    const value = this.#bodies.write((writer) => {
      writer.u8(TOPIC_QUERY.offsets)
      encodeOffsets(writer, topic, partition, time)
    })
    const asked = new Operation(ASK, { map: topic, key: String(partition), value })
    return decodePartitionOffsets(new ByteReader(await this.#router.submit(asked, options), 1))
  }

  /** Of the first record from this offset on. */
  async #timeAt(
    place: { readonly topic: string; readonly partition: number; readonly offset: number },
    options: CallOptions,
  ): Promise<number | undefined> {
    const value = this.#bodies.write((writer) => {
      writer.u8(TOPIC_QUERY.fetch)
      encodeFetch(writer, { ...place, limitBytes: 1 })
    })
    const asked = new Operation(ASK, { map: place.topic, key: String(place.partition), value })
    const reader = new ByteReader(await this.#router.submit(asked, options), ANSWER_HEAD_BYTES)
    if (reader.u32() === 0) return undefined
    const [record] = decodeRecords(reader.raw(reader.remaining))
    return record?.time
  }

  async #groupState(topic: string, group: string, options: CallOptions): Promise<GroupState | undefined> {
    const value = this.#bodies.write((writer) => {
      writer.u8(TOPIC_QUERY.group)
      encodeGroup(writer, topic, group)
    })
    const asked = new Operation(ASK, { map: GROUP_MAP, key: `${topic}/${group}`, value })
    const answer = await this.#router.submit(asked, options)
    if (decodeCommandReply(answer).status !== 'ok') return undefined
    return decodeGroupState(new ByteReader(answer, ANSWER_HEAD_BYTES))
  }

  async #groupOffsets(topic: string, group: string, options: CallOptions): Promise<GroupOffsets> {
    const state = await this.#groupState(topic, group, options)
    const now = this.#ports.clock.wallTime()
    const partitions = (state?.partitions ?? []).map(async (of, partition) => {
      const { first, next } = await this.#offsets(topic, partition, { time: 0, options })
      const committed = of.committed ?? first
      const since = committed >= next ? undefined : await this.#timeAt({ topic, partition, offset: committed }, options)
      const lagMs = since === undefined ? 0 : Math.max(0, now - since / 1000)
      return { partition, committed: BigInt(committed), end: BigInt(next), lagMs }
    })
    const members = (state?.members ?? []).map((lease) => ({
      member: String(lease),
      partitions: (state?.partitions ?? []).flatMap(({ owner }, partition) => (owner === lease ? [partition] : [])),
    }))
    return { group, members, partitions: await Promise.all(partitions) }
  }

  /** Reads all pages of a list in all shards; `read` stands at an item and returns its key. */
  async #pages(
    kind: number,
    options: CallOptions,
    read: (reader: ByteReader) => string,
    visit: (key: string) => Promise<void>,
  ): Promise<void> {
    const groups = await this.#router.whenReady(options)
    for (let shard = 0; shard < groups.length; shard++) {
      for (let after: string | undefined = ''; after !== undefined; ) {
        const from: string = after
        const value = this.#bodies.write((writer) => {
          writer.u8(kind)
          encodePage(writer, from, PAGE_LIMIT)
        })
        const answer = await this.#router.submit(new Operation(ASK, { shard, value }), options)
        const reader = new ByteReader(answer, ANSWER_HEAD_BYTES)
        const hasMore = reader.u8() === 1
        const keys: string[] = []
        for (let left = reader.u32(); left > 0; left--) keys.push(read(reader))
        for (const key of keys) await visit(key)
        after = hasMore ? keys.at(-1) : undefined
      }
    }
  }
}

/** `*` stands for one part between dots, `>` for the rest. */
function matches(pattern: string, name: string): boolean {
  const [wanted, parts] = [pattern.split('.'), name.split('.')]
  const rest = wanted.indexOf('>')
  if (rest < 0 ? wanted.length !== parts.length : parts.length <= rest) return false
  return wanted.slice(0, rest < 0 ? wanted.length : rest).every((part, at) => part === '*' || part === parts[at])
}

function otherPartitions(topic: string, present: number): TroupeError {
  return new TroupeError(
    'CONFLICT',
    `topic '${topic}' has ${present} partitions, which is for good, since keys would move: define it with as many, or delete it`,
  )
}

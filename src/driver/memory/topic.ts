/** The topics of the memory driver: the topic facet as a readable specification. */

import { TroupeError } from '../../base/error.ts'
import type { Clock } from '../../base/time.ts'
import type {
  CallOptions,
  Fence,
  GroupOffsets,
  NamedTopic,
  OutgoingRecord,
  PartitionStatus,
  Position,
  Published,
  ReadRecord,
  RecordBatch,
  SubscribeOptions,
  TopicFacet,
  TopicRules,
} from '../contract.ts'
import { checkUnused } from '../in-use.ts'
import { closed, MEMORY_RECEIPT, type MemoryDoor } from './door.ts'
import { MemoryGroup, MemoryReader } from './group.ts'
import { hashOf, MemoryPartition } from './partition.ts'

interface Topic {
  readonly name: string
  rules: TopicRules
  readonly partitions: MemoryPartition[]
  readonly groups: Map<string, MemoryGroup>
  spread: number
}

export class MemoryTopics implements TopicFacet {
  readonly #clock: Clock
  readonly #door: MemoryDoor
  readonly #checkFence: (fence: Fence) => void
  readonly #topics = new Map<string, Topic>()
  readonly #readers = new Set<MemoryReader>()

  /** @param checkFence throws `FENCED` for a token that is stale */
  constructor({ clock }: { readonly clock: Clock }, door: MemoryDoor, checkFence: (fence: Fence) => void) {
    this.#clock = clock
    this.#checkFence = checkFence
    this.#door = door
    door.onClose(() => {
      for (const reader of this.#readers) reader.fail(closed())
    })
  }

  publish(
    name: NamedTopic,
    record: OutgoingRecord,
    options: CallOptions & { readonly fence?: Fence },
  ): Promise<Published> {
    return this.#door.answer(options, () => {
      if (options.fence !== undefined) this.#checkFence(options.fence)
      const { partition, offset } = this.#append(this.#topic(name), record)
      return { partition, offset, receipt: MEMORY_RECEIPT }
    })
  }

  /** Makes the topic's rules known; `CONFLICT` when it has more partitions. */
  define(topic: NamedTopic): void {
    this.#topic(topic)
  }

  /** Publishes along with something else. */
  append(topic: NamedTopic, record: OutgoingRecord): void {
    this.#append(this.#topic(topic), record)
  }

  subscribe(name: NamedTopic, options: SubscribeOptions): AsyncIterable<RecordBatch> {
    return {
      [Symbol.asyncIterator]: () => {
        const reader: MemoryReader = new MemoryReader(options, this.#clock, {
          begin: () => {
            this.#door.check(options)
            this.#readers.add(reader)
            if (options.group !== undefined) this.#group(this.#topic(name), options.group).join(reader)
            else if (isPattern(name.name)) this.#readMatching(reader, name.name)
            else this.#readAll(reader, this.#topic(name))
          },
          end: () => {
            this.#readers.delete(reader)
            if (options.group !== undefined) this.#group(this.#topic(name), options.group).leave(reader)
          },
        })
        return reader
      },
    }
  }

  groups(name: string, options: CallOptions): Promise<readonly GroupOffsets[]> {
    return this.#door.answer(options, () =>
      [...(this.#topics.get(name)?.groups.values() ?? [])].map((group) => group.status(this.#clock.wallTime())),
    )
  }

  partitions({ name, rules }: NamedTopic, options: CallOptions): Promise<readonly PartitionStatus[]> {
    return this.#door.answer(options, () => this.#topic({ name, rules }).partitions.map(({ status }) => status))
  }

  reset(name: NamedTopic, group: string, to: Position, options: CallOptions): Promise<void> {
    return this.#door.answer(options, () => {
      const found = this.#group(this.#topic(name), group)
      if (found.memberCount > 0) throw new TroupeError('CONFLICT', `the group '${group}' has members; end them first`)
      found.reset(to)
    })
  }

  delete(name: string, options: CallOptions): Promise<void> {
    return this.#door.answer(options, () => {
      const topic = this.#topics.get(name)
      const members = [...(topic?.groups.values() ?? [])].reduce((total, { memberCount }) => total + memberCount, 0)
      checkUnused(`topic '${name}'`, { members })
      this.#topics.delete(name)
      for (const reader of this.#readers) {
        const isReading = topic !== undefined && reader.leave(topic.partitions)
        if (isReading && reader.pattern === undefined) {
          reader.fail(new TroupeError('CLOSED', `topic '${name}' was deleted`))
        }
      }
    })
  }

  topics(options: CallOptions): Promise<readonly NamedTopic[]> {
    return this.#door.answer(options, () =>
      [...this.#topics.values()].map(({ name, rules }) => ({ name, rules })).sort((a, b) => (a.name < b.name ? -1 : 1)),
    )
  }

  #append(topic: Topic, record: OutgoingRecord): ReadRecord {
    const count = topic.partitions.length
    const at = record.key === '' ? topic.spread++ % count : hashOf(record.key) % count
    const partition = topic.partitions[at]
    if (partition === undefined) throw new TroupeError('INTERNAL', 'a topic has partitions')
    const added = partition.append(record, this.#clock.wallTime(), topic.rules)
    for (const reader of this.#readers) reader.serve()
    return added
  }

  #readAll(reader: MemoryReader, topic: Topic): void {
    for (const partition of topic.partitions) reader.read(partition, undefined)
  }

  #readMatching(reader: MemoryReader, pattern: string): void {
    for (const topic of this.#topics.values()) if (matches(pattern, topic.name)) this.#readAll(reader, topic)
    reader.pattern = pattern
  }

  #group(topic: Topic, name: string): MemoryGroup {
    const known = topic.groups.get(name)
    if (known !== undefined) return known
    const group = new MemoryGroup(name, topic.partitions)
    topic.groups.set(name, group)
    return group
  }

  #topic({ name, rules }: NamedTopic): Topic {
    const known = this.#topics.get(name)
    if (known !== undefined) {
      const { length } = known.partitions
      if (rules.partitions !== length) throw new TroupeError('CONFLICT', `topic '${name}' has ${length} partitions`)
      known.rules = rules
      return known
    }
    const partitions = Array.from({ length: rules.partitions }, (_, number) => new MemoryPartition(name, number))
    const topic: Topic = { name, rules, partitions, groups: new Map(), spread: 0 }
    this.#topics.set(name, topic)
    for (const reader of this.#readers) {
      if (reader.pattern === undefined || !matches(reader.pattern, name)) continue
      // A topic that came later is new to it from its first record on.
      for (const partition of partitions) reader.read(partition, 0n)
    }
    return topic
  }
}

function isPattern(name: string): boolean {
  return name.split('.').some((part) => part === '*' || part === '>')
}

/** `*` stands for one part between dots, `>` for one or more at the end. */
function matches(pattern: string, name: string): boolean {
  const wanted = pattern.split('.')
  const parts = name.split('.')
  const rest = wanted.indexOf('>')
  if (rest >= 0 ? parts.length <= rest : parts.length !== wanted.length) return false
  return wanted.slice(0, rest >= 0 ? rest : undefined).every((part, at) => part === '*' || part === parts[at])
}

/** The tables of a shard beside its maps, one of each type, and the ways between them. */

import { type ByteReader, malformed } from '../base/bytes.ts'
import type { LeaderMicros } from './batch.ts'
import { EmptyTable } from './empty-table.ts'
import type { KeyValue } from './key-value/key-value.ts'
import type { LeaderView } from './leader-view.ts'
import { LeaseTable } from './lease/lease.ts'
import { FIRST_LEVEL, type Level } from './level.ts'
import { OutboxTable } from './outbox.ts'
import type { PieceStore } from './pieces.ts'
import { QUEUE_COMMAND } from './queue/command.ts'
import { QueueTable } from './queue/queue.ts'
import { ScheduleTable } from './schedule/schedule.ts'
import { type Neighbours, type Table, tableOf } from './table.ts'
import { TOPIC_COMMAND } from './topic/command.ts'
import { TopicTable } from './topic/topic.ts'

const TYPES = 8

/** Kinds that level 2 has brought. */
const SECOND: ReadonlySet<number> = new Set([
  QUEUE_COMMAND.queueDelete,
  QUEUE_COMMAND.confirm,
  TOPIC_COMMAND.topicDelete,
  TOPIC_COMMAND.topicConfirm,
])
/** By its number, the level that brought each kind of command. */
const BROUGHT_BY: Readonly<Uint8Array> = Uint8Array.from({ length: 256 }, (_, kind) =>
  SECOND.has(kind) ? 2 : FIRST_LEVEL,
)

export class Tables implements LeaderView {
  readonly outbox: OutboxTable = new OutboxTable()
  readonly queues: QueueTable
  readonly topics: TopicTable
  readonly leases: LeaseTable
  readonly schedules: ScheduleTable
  /** In the order in which they advance: leases end before what relied on them goes on, and schedules send before queues look. */
  readonly all: readonly Table[]
  readonly #byType: readonly Table[]
  readonly #unknown: Table = new EmptyTable(TYPES)

  constructor(keyValue: KeyValue, pieces: PieceStore) {
    const neighbours: Neighbours = {
      revise: (time) => keyValue.revise(time),
      announce: (change) => keyValue.announce(change),
      deleteKey: (map, key, since, time) => keyValue.deleteKey(map, key, since, time),
      enqueue: (message, time) => this.queues.enqueue(message, time),
      leaseEnded: (lease, time) => this.topics.leaseEnded(lease, time),
      hasLease: (lease) => this.leases.has(lease),
    }
    this.queues = new QueueTable(neighbours, pieces)
    this.topics = new TopicTable(neighbours)
    this.leases = new LeaseTable(neighbours)
    this.schedules = new ScheduleTable(neighbours)
    this.all = [this.outbox, this.leases, this.schedules, this.queues, this.topics]
    this.#byType = Array.from({ length: TYPES }, (_, type) => {
      return this.all.find((table) => table.type === type) ?? new EmptyTable(type)
    })
  }

  get dueAt(): LeaderMicros {
    let earliest = Number.POSITIVE_INFINITY
    for (const { dueAt } of this.all) if (dueAt < earliest) earliest = dueAt
    return earliest
  }

  advance(time: LeaderMicros): void {
    for (const table of this.all) if (table.dueAt <= time) table.advance(time)
  }

  /** The table of a query; one that knows nothing where there is none. */
  asked(kind: number): Table {
    return this.#byType[tableOf(kind)] ?? this.outbox
  }

  /** The table of a command in an entry of this level; one that knows nothing where there is none, or the kind came later. */
  of(kind: number, level: Level): Table {
    return (BROUGHT_BY[kind] ?? FIRST_LEVEL) > level ? this.#unknown : this.asked(kind)
  }

  load(type: number, section: ByteReader): void {
    const table = this.#byType[type]
    if (table === undefined) throw malformed(`there are no tables of type ${type}`)
    table.load(section)
  }
}

/** A partition is one log of a topic, and what its topic's settings keep of it. */

import type { ByteReader, ByteWriter } from '../../base/bytes.ts'
import type { LeaderMicros } from '../batch.ts'
import type { TopicSettings } from './command.ts'
import { RecordCompaction } from './record-compaction.ts'
import { RecordLog } from './record-log.ts'

const SHORTEST_GRACE = 10_000
const LONGEST_GRACE = 60_000_000

/** A record too old leaves at most this much later, so that a log wakes its leader now and then, not for each record. */
function graceOf(keep: number): number {
  return Math.min(LONGEST_GRACE, Math.max(SHORTEST_GRACE, Math.floor(keep / 8)))
}

export class Partition {
  readonly log: RecordLog = new RecordLog()
  #settings: TopicSettings
  #compaction: RecordCompaction | undefined

  constructor(settings: TopicSettings) {
    this.#settings = settings
    if (settings.compact) this.#compaction = new RecordCompaction(this.log)
  }

  /** `content` is encoded from the key on. */
  publish(time: LeaderMicros, key: string, content: Uint8Array): number {
    const offset = this.log.append(time, content)
    this.#compaction?.appended(key, offset)
    this.#compaction?.step(time)
    this.#limit()
    return offset
  }

  configure(settings: TopicSettings): void {
    this.#settings = settings
    if (!settings.compact) this.#compaction = undefined
    else if (this.#compaction === undefined) {
      this.#compaction = new RecordCompaction(this.log)
      this.#compaction.begin()
    }
    this.#limit()
  }

  /** Due times of all partitions of a topic fall together: on multiples of the grace. */
  get dueAt(): LeaderMicros {
    const keep = this.#settings.keepMs * 1000
    const until = this.log.firstTime + keep
    if (!Number.isFinite(until)) return until
    const grace = graceOf(keep)
    return (Math.floor(until / grace) + 1) * grace
  }

  /** Drops what is too old, once that is due. */
  advance(time: LeaderMicros): void {
    if (this.dueAt <= time) this.dropBefore(this.log.offsetAt(Math.max(0, time - this.#settings.keepMs * 1000)))
  }

  dropBefore(offset: number): void {
    this.#compaction?.dropping(offset)
    this.log.dropBefore(offset)
  }

  encodeHead(writer: ByteWriter): void {
    writer.u53(this.log.next)
    writer.u53(this.log.lastTime)
    this.#compaction?.encode(writer)
  }

  /** Puts back the head, before the log's chunks. */
  loadHead(reader: ByteReader): void {
    this.log.begin(reader.u53(), reader.u53())
    this.#compaction?.load(reader)
  }

  load(chunk: ByteReader): void {
    const before = this.log.last + 1
    this.log.load(chunk)
    this.log.forEach(before, this.log.next, ({ key, offset }) => this.#compaction?.appended(key, offset))
  }

  #limit(): void {
    const { keepBytes, keepCount } = this.#settings
    while (this.log.count > keepCount || (this.log.bytes > keepBytes && this.log.count > 1)) {
      this.dropBefore(this.log.first + 1)
    }
  }
}

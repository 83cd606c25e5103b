/** A memory partition is one log of records, whose offsets begin at 0 and grow. */

import type { WallMillis } from '../../base/time.ts'
import type { OutgoingRecord, PartitionStatus, Position, ReadRecord, TopicRules } from '../contract.ts'
import { checkOffset } from '../offset.ts'

export class MemoryPartition {
  readonly topic: string
  readonly number: number
  #records: ReadRecord[] = []
  #next = 0n
  #newest: WallMillis | undefined
  #bytes = 0
  /** Records that a newer one of their key has superseded, at most. */
  #superseded = 0
  #keys = new Set<string>()

  constructor(topic: string, number: number) {
    this.topic = topic
    this.number = number
  }

  /** The offset of the next record. */
  get end(): bigint {
    return this.#next
  }

  get status(): PartitionStatus {
    const { number: partition, end } = this
    const [first] = this.#records
    const records = this.#records.length
    return { partition, first: first?.offset ?? end, end, records, bytes: this.#bytes, newest: this.#newest }
  }

  append(record: OutgoingRecord, time: WallMillis, rules: TopicRules): ReadRecord {
    const { topic, number: partition } = this
    const { key, headers } = record
    const added = {
      topic,
      partition,
      offset: this.#next,
      time,
      key,
      payload: record.payload.slice(),
      headers: { ...headers },
    }
    this.#next += 1n
    this.#newest = time
    this.#records.push(added)
    this.#bytes += added.payload.length
    if (rules.compact) this.#compact(key)
    this.#retain(time, rules)
    return added
  }

  /** Up to `limit` records from this offset on. */
  read(offset: bigint, limit: number): readonly ReadRecord[] {
    const start = this.#position((record) => record.offset >= offset)
    return this.#records.slice(start, start + limit).map((record) => ({ ...record, payload: record.payload.slice() }))
  }

  offsetOf(position: Position): bigint {
    if (position === 'earliest') return this.#records[0]?.offset ?? this.#next
    if (position === 'latest') return this.#next
    if ('offsets' in position) {
      const offset = position.offsets.get(this.number)
      const { topic, number: partition, end } = this
      return offset === undefined ? this.offsetOf('earliest') : checkOffset(offset, { topic, partition, end })
    }
    return this.#records[this.#position((record) => record.time >= position.time)]?.offset ?? this.#next
  }

  /** Records from this offset on, and the age of the first of them. */
  lag(offset: bigint, now: WallMillis): { readonly records: number; readonly ms: number } {
    const at = this.#position((record) => record.offset >= offset)
    const first = this.#records[at]
    return { records: this.#records.length - at, ms: first === undefined ? 0 : Math.max(0, now - first.time) }
  }

  /** Once as many were superseded as there are keys, so that each record costs constant time. */
  #compact(key: string): void {
    if (this.#keys.has(key)) this.#superseded += 1
    this.#keys.add(key)
    if (key === '' || this.#superseded <= Math.max(16, this.#keys.size)) return
    const newest = new Map(this.#records.map((record) => [record.key, record.offset]))
    this.#records = this.#records.filter(
      (record) => record.key === '' || (newest.get(record.key) === record.offset && record.payload.length > 0),
    )
    this.#bytes = this.#records.reduce((sum, { payload }) => sum + payload.length, 0)
    this.#keys = new Set(this.#records.map((record) => record.key))
    this.#superseded = 0
  }

  #retain(now: WallMillis, { keepMs, keepBytes, keepCount }: TopicRules): void {
    let dropped = 0
    for (const { time, payload } of this.#records) {
      const isKept = now - time <= keepMs && this.#bytes <= keepBytes && this.#records.length - dropped <= keepCount
      if (isKept) break
      this.#bytes -= payload.length
      dropped += 1
    }
    if (dropped > 0) this.#records.splice(0, dropped)
  }

  #position(isThere: (record: ReadRecord) => boolean): number {
    let low = 0
    let high = this.#records.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const record = this.#records[middle]
      if (record !== undefined && isThere(record)) high = middle
      else low = middle + 1
    }
    return low
  }
}

/** FNV-1a over the text's units. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return hash >>> 0
}

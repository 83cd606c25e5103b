/** Compaction keeps of each key only its newest record, a segment at a time, in the background of publishing. */

import { type ByteReader, type ByteWriter, malformed } from '../../base/bytes.ts'
import type { LeaderMicros } from '../batch.ts'
import type { RecordLog, VisitedRecord } from './record-log.ts'

/** A smaller log is not worth a pass. */
const FEWEST_RECORDS = 64
/** An empty record tells readers that its key is gone; those who are further behind than this may miss it. */
const KEEP_EMPTY_MICROS: number = 24 * 3_600 * 1_000_000

/**
 * A pass begins when half of the records have been superseded, and goes through the log from its first record to the
 * one that was last; each publish takes it on by a segment. So a record is copied about once for each that was
 * published.
 *
 * An empty record may go only when no older one of its key is left: in a pass that began after it was published, that
 * is so when the pass comes to it.
 *
 * Invariant: `#latest` has the offset of the newest record of each key that is in the log; records without a key have
 * none.
 */
export class RecordCompaction {
  readonly #log: RecordLog
  readonly #latest: Map<string, number> = new Map()
  /** Records with a key. */
  #keyed = 0
  /** Where the pass stands, and where it ends; equal when there is none. */
  #at = 0
  #end = 0

  constructor(log: RecordLog) {
    this.#log = log
  }

  /** Takes up every record of the log, which it is to know nothing of. */
  begin(): void {
    this.#log.forEach(0, this.#log.next, ({ key, offset }) => this.appended(key, offset))
  }

  appended(key: string, offset: number): void {
    if (key === '') return
    this.#keyed++
    this.#latest.set(key, offset)
  }

  /** Records before `offset` are about to be dropped. */
  dropping(offset: number): void {
    this.#log.forEach(0, offset, (record) => this.#forget(record))
  }

  /** Takes a pass on by one segment. */
  step(time: LeaderMicros): void {
    if (this.#at >= this.#end) {
      const superseded = this.#keyed - this.#latest.size
      if (superseded * 2 < this.#log.count || this.#log.count < FEWEST_RECORDS) return
      this.#at = this.#log.first
      this.#end = this.#log.next
    }
    this.#at = this.#log.rewrite(this.#at, (record) => {
      const isKept = this.#isKept(record, time)
      if (!isKept) this.#forget(record)
      return isKept
    })
  }

  encode(writer: ByteWriter): void {
    writer.u53(this.#at)
    writer.u53(this.#end)
  }

  load(reader: ByteReader): void {
    this.#at = reader.u53()
    this.#end = reader.u53()
    if (this.#end > this.#log.next) throw malformed('a pass ends beyond its log')
  }

  #isKept({ key, offset, time, isEmpty }: VisitedRecord, now: LeaderMicros): boolean {
    if (key === '') return true
    if (this.#latest.get(key) !== offset) return false
    return !isEmpty || offset >= this.#end || time + KEEP_EMPTY_MICROS > now
  }

  #forget({ key, offset }: VisitedRecord): void {
    if (key === '') return
    this.#keyed--
    if (this.#latest.get(key) === offset) this.#latest.delete(key)
  }
}

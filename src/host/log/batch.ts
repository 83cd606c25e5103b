/** A batch is everything that is staged until the next commit, as the bytes that one write will carry. */

import {
  BATCH_HEADER,
  type BatchHeader,
  type Checksum,
  RECORD_HEAD,
  type RecordHead,
  readRecordHead,
  type Seal,
  sealRecord,
  toSectors,
  viewOf,
  writeBatchHeader,
  writeRecordHead,
} from './format.ts'

const FIRST_CAPACITY = 64 * 1024
/** A buffer that a rare large batch has grown beyond this is not kept for the next one. */
const LARGEST_KEPT = 1024 * 1024

export class Batch {
  #bytes = new Uint8Array(FIRST_CAPACITY)
  #view: DataView = viewOf(this.#bytes)
  #end = BATCH_HEADER

  get isEmpty(): boolean {
    return this.#end === BATCH_HEADER
  }

  /** Bytes of the whole batch on disk. */
  get size(): number {
    return toSectors(this.#end)
  }

  record(head: RecordHead, payload: Uint8Array): void {
    const at = this.#end
    this.#reserve(RECORD_HEAD + payload.length)
    writeRecordHead(this.#view, at, head)
    this.#bytes.set(payload, at + RECORD_HEAD)
    this.#end = at + RECORD_HEAD + payload.length
  }

  /** Adds all records of another batch. */
  append(other: Batch): void {
    const records = other.#bytes.subarray(BATCH_HEADER, other.#end)
    this.#reserve(records.length)
    this.#bytes.set(records, this.#end)
    this.#end += records.length
  }

  /** The bytes to write, once it is known where; `visit` sees each record and its offset in the batch. */
  seal(
    header: Omit<BatchHeader, 'length'>,
    checksum: Checksum,
    visit: (head: RecordHead, at: number) => void,
  ): Uint8Array {
    const seal: Seal = { segment: header.segment, checksum }
    for (let at = BATCH_HEADER; at < this.#end; ) {
      const head = readRecordHead(this.#view, at)
      sealRecord(this.#bytes, this.#view, at, seal)
      visit(head, at)
      at += RECORD_HEAD + head.length
    }
    writeBatchHeader(this.#bytes, header, this.#end - BATCH_HEADER, checksum)
    const size = this.size
    this.#bytes.fill(0, this.#end, size)
    return this.#bytes.subarray(0, size)
  }

  clear(): void {
    this.#end = BATCH_HEADER
    if (this.#bytes.length <= LARGEST_KEPT) return
    this.#bytes = new Uint8Array(FIRST_CAPACITY)
    this.#view = viewOf(this.#bytes)
  }

  /** The capacity stays a whole number of sectors, so that padding always fits. */
  #reserve(more: number): void {
    const needed = toSectors(this.#end + more)
    if (needed <= this.#bytes.length) return
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, needed))
    grown.set(this.#bytes.subarray(0, this.#end))
    this.#bytes = grown
    this.#view = viewOf(grown)
  }
}

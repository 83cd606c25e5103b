/** A record is the present state of one key in a memtable: a number, by which its fields are found in columns. */

import { lastingBytes } from '../../base/lasting.ts'
import type { Address } from '../value-arena.ts'

export type RecordNumber = number

/** No record. */
export const NONE: RecordNumber = -1
/** The length of a value that is not there. */
export const ABSENT = -1

/** A record's fields lie together, since they are read together: a cache line less for each. */
const FIELD = { revision: 0, address: 2, keyLength: 3, valueLength: 4 } as const
/** An even number, because a revision takes two. */
const RECORD_WORDS = 6
const CHUNK_BITS = 12
/** The first chunk grows from this: a map of a few keys is small. */
const FEWEST_RECORDS = 32
const CHUNK_MASK: number = (1 << CHUNK_BITS) - 1

/** Records in chunks, so that growing never copies more than one of these. */
export class RecordStore {
  readonly #words: Int32Array[] = []
  /** The same memory, for revisions. */
  readonly #doubles: Float64Array[] = []
  /** Numbers of records that are gone. */
  readonly #vacant: RecordNumber[] = []
  #used = 0

  /** A new record, whose fields are to be set. */
  add(): RecordNumber {
    const vacant = this.#vacant.pop()
    if (vacant !== undefined) return vacant
    const chunk = this.#used >>> CHUNK_BITS
    const words = this.#words[chunk]
    if (words === undefined) this.#allocate(chunk, chunk === 0 ? FEWEST_RECORDS : 1 << CHUNK_BITS)
    else if ((this.#used & CHUNK_MASK) * RECORD_WORDS === words.length) {
      this.#allocate(chunk, (2 * words.length) / RECORD_WORDS)
      this.#words[chunk]?.set(words)
    }
    return this.#used++
  }

  remove(record: RecordNumber): void {
    this.#vacant.push(record)
  }

  /** Of the last change, a deletion included. */
  revision(record: RecordNumber): number {
    return this.#doubles[record >>> CHUNK_BITS]?.[((record & CHUNK_MASK) * RECORD_WORDS) >>> 1] ?? 0
  }

  /** Of the key, which the value follows. */
  address(record: RecordNumber): Address {
    return this.#field(record, FIELD.address)
  }

  keyLength(record: RecordNumber): number {
    return this.#field(record, FIELD.keyLength)
  }

  /** {@link ABSENT} when the key is: such a record stays only while a frozen generation needs its place. */
  valueLength(record: RecordNumber): number {
    return this.#field(record, FIELD.valueLength)
  }

  setRevision(record: RecordNumber, revision: number): void {
    const doubles = this.#doubles[record >>> CHUNK_BITS]
    if (doubles !== undefined) doubles[((record & CHUNK_MASK) * RECORD_WORDS) >>> 1] = revision
  }

  setKeyLength(record: RecordNumber, keyLength: number): void {
    this.#setField(record, FIELD.keyLength, keyLength)
  }

  setValue(record: RecordNumber, address: Address, valueLength: number): void {
    this.#setField(record, FIELD.address, address)
    this.#setField(record, FIELD.valueLength, valueLength)
  }

  #allocate(chunk: number, records: number): void {
    const { buffer } = lastingBytes(records * RECORD_WORDS * Int32Array.BYTES_PER_ELEMENT)
    this.#words[chunk] = new Int32Array(buffer)
    this.#doubles[chunk] = new Float64Array(buffer)
  }

  #field(record: RecordNumber, field: number): number {
    return this.#words[record >>> CHUNK_BITS]?.[(record & CHUNK_MASK) * RECORD_WORDS + field] ?? 0
  }

  #setField(record: RecordNumber, field: number, value: number): void {
    const words = this.#words[record >>> CHUNK_BITS]
    if (words !== undefined) words[(record & CHUNK_MASK) * RECORD_WORDS + field] = value
  }
}

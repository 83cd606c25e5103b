/** A memtable is an ordered map from keys to values in memory, which can be frozen while writes go on. */

import { assert } from '../../base/assert.ts'
import { copySpan, isEqualSpan, type Span } from '../../base/span.ts'
import { ValueArena } from '../value-arena.ts'
import { FrozenMemtable } from './frozen-memtable.ts'
import type { Key } from './key.ts'
import type { KeyHash } from './key-hash.ts'
import { KeyIndex } from './key-index.ts'
import { KeyTable } from './key-table.ts'
import { ABSENT, NONE, type RecordNumber, RecordStore } from './record-store.ts'

/** Keys in [from, until); an empty `until` means to the end. */
export interface Range {
  readonly from: Span
  readonly until: Span
}

/**
 * What makes up a memtable: no object stands for a key or a value, so that the collector has nothing to do with them.
 *
 * - `records` hold the fields of each key, in columns.
 * - `values` hold what has a length: for each record its key and, right behind, its value, in one piece.
 * - `table` finds single keys, and `index` serves scans: it is touched only when a key comes or goes.
 *
 * Values are copied, because a view would keep the whole log entry (and the network's buffer around it) for its
 * smallest value.
 */
export class Memtable {
  readonly #hash: KeyHash
  readonly #records: RecordStore = new RecordStore()
  readonly #values: ValueArena = new ValueArena()
  readonly #table: KeyTable = new KeyTable((record, key) => isEqualSpan(this.#keyOf(record), key))
  readonly #index: KeyIndex = new KeyIndex((record) => this.#keyOf(record))
  /** Absent records that keep their place in the index; none when nothing is frozen. */
  readonly #departed: Set<RecordNumber> = new Set()
  /** Oldest first. */
  readonly #frozen: FrozenMemtable[] = []
  /** Revision of the newest frozen generation; -1 when there is none. */
  #frozenRevision = -1
  #size = 0
  // Filled again for every key that is looked at.
  readonly #key: Span = { bytes: new Uint8Array(0), start: 0, end: 0 }

  /** @param hash that of all keys here */
  constructor(hash: KeyHash) {
    this.#hash = hash
  }

  /** Keys that are present. */
  get size(): number {
    return this.#size
  }

  /** Bytes of memory that keys and values take, those of frozen generations included. */
  get valueBytes(): number {
    return this.#values.size
  }

  /** The record of a present key; {@link NONE} when it is absent. */
  find(key: Key): RecordNumber {
    const record = this.#table.find(key)
    return record === NONE || this.#records.valueLength(record) === ABSENT ? NONE : record
  }

  revisionOf(record: RecordNumber): number {
    return this.#records.revision(record)
  }

  /** The key of a record: a view, good until the next write. */
  keyOf(record: RecordNumber): Uint8Array {
    return this.#values.view(this.#records.address(record), this.#records.keyLength(record))
  }

  /** The value of a present record: a view, good until the next write. */
  valueOf(record: RecordNumber): Uint8Array {
    const start = this.#records.keyLength(record)
    const address = this.#records.address(record)
    const from = this.#values.startOf(address) + start
    return this.#values.bytesAt(address).subarray(from, from + this.#records.valueLength(record))
  }

  /** Bytes of the key and the value of a present record. */
  lengthOf(record: RecordNumber): number {
    return this.#records.keyLength(record) + this.#records.valueLength(record)
  }

  /** Copies key and value; `revision` must be above all before it. */
  set(key: Key, value: Span, revision: number): void {
    const found = this.#table.find(key)
    const record = found === NONE ? this.#create(key) : found
    if (found === NONE) this.#write(record, key, value)
    else this.#overwrite(record, key, value)
    this.#records.setRevision(record, revision)
    // Last, because the index looks at keys where the records have them.
    if (found !== NONE) return
    this.#table.add(key.hash, record)
    this.#index.insert(record)
  }

  /** The record must be of a present key. */
  delete(record: RecordNumber, revision: number): void {
    assert(this.#records.valueLength(record) !== ABSENT, 'a record to delete is present')
    this.#size--
    if (this.#frozen.length === 0) {
      this.#remove(record)
      return
    }
    this.#strip(record)
    this.#records.setRevision(record, revision)
    this.#departed.add(record)
  }

  /** Calls `visit` with each present record in order of keys until it returns false. It must not write. */
  scan(range: Range, reverse: boolean, visit: (record: RecordNumber) => boolean): void {
    if (reverse) this.#scanBack(range, visit)
    else this.#scanForth(range, visit)
  }

  /** The present state, which stays; `revision` is that of the newest change. Release it when done. */
  freeze(revision: number): FrozenMemtable {
    const content = { records: this.#records, index: this.#index, values: this.#values }
    const frozen = new FrozenMemtable(this.#frozen, content, revision, () => this.#thaw())
    this.#frozen.push(frozen)
    this.#frozenRevision = revision
    return frozen
  }

  #scanForth(range: Range, visit: (record: RecordNumber) => boolean): void {
    const position = this.#index.seek(range.from)
    const until = this.#endOf(range)
    for (let record = this.#index.next(position); record !== NONE; record = this.#index.next(position)) {
      const isBeyond = position.leaf > until.leaf || (position.leaf === until.leaf && position.slot > until.slot)
      if (isBeyond || (this.#records.valueLength(record) !== ABSENT && !visit(record))) return
    }
  }

  #scanBack(range: Range, visit: (record: RecordNumber) => boolean): void {
    const from = this.#index.seek(range.from)
    const position = this.#endOf(range)
    for (let record = this.#index.previous(position); record !== NONE; record = this.#index.previous(position)) {
      const isBefore = position.leaf < from.leaf || (position.leaf === from.leaf && position.slot < from.slot)
      if (isBefore || (this.#records.valueLength(record) !== ABSENT && !visit(record))) return
    }
  }

  #endOf({ until }: Range): ReturnType<KeyIndex['end']> {
    return until.start === until.end ? this.#index.end() : this.#index.seek(until)
  }

  #keyOf(record: RecordNumber): Span {
    const key = this.#key
    const address = this.#records.address(record)
    key.bytes = this.#values.bytesAt(address)
    key.start = this.#values.startOf(address)
    key.end = key.start + this.#records.keyLength(record)
    return key
  }

  #create(key: Key): RecordNumber {
    const record = this.#records.add()
    this.#records.setKeyLength(record, key.end - key.start)
    this.#size++
    return record
  }

  #overwrite(record: RecordNumber, key: Key, value: Span): void {
    const address = this.#records.address(record)
    const keyLength = key.end - key.start
    const present = this.#records.valueLength(record)
    const length = value.end - value.start
    if (present === ABSENT) {
      this.#departed.delete(record)
      this.#size++
    }
    if (this.#isWanted(record)) this.#preserve(record)
    else if (this.#values.fits(keyLength + Math.max(present, 0), keyLength + length)) {
      copySpan(value, this.#values.bytesAt(address), this.#values.startOf(address) + keyLength)
      this.#records.setValue(record, address, length)
      return
    } else this.#values.free(address, keyLength + Math.max(present, 0))
    this.#write(record, key, value)
  }

  /** Gives the record a place of its own for key and value. */
  #write(record: RecordNumber, key: Span, value: Span): void {
    const keyLength = key.end - key.start
    const length = value.end - value.start
    const address = this.#values.allocate(keyLength + length)
    const bytes = this.#values.bytesAt(address)
    const start = this.#values.startOf(address)
    copySpan(key, bytes, start)
    copySpan(value, bytes, start + keyLength)
    this.#records.setValue(record, address, length)
  }

  /** Leaves a record nothing but its key. */
  #strip(record: RecordNumber): void {
    const key = this.#keyOf(record)
    const keyLength = key.end - key.start
    const address = this.#values.allocate(keyLength)
    copySpan(key, this.#values.bytesAt(address), this.#values.startOf(address))
    if (this.#isWanted(record)) this.#preserve(record)
    else this.#values.free(this.#records.address(record), this.lengthOf(record))
    this.#records.setValue(record, address, ABSENT)
  }

  #remove(record: RecordNumber): void {
    const key = this.#keyOf(record)
    this.#table.remove(this.#hash.of(key), record)
    this.#index.remove(record, { ...key })
    const length = this.#records.keyLength(record) + Math.max(this.#records.valueLength(record), 0)
    this.#values.free(this.#records.address(record), length)
    this.#records.remove(record)
  }

  /** Whether a frozen generation needs the record as it is. */
  #isWanted(record: RecordNumber): boolean {
    return this.#records.revision(record) <= this.#frozenRevision && this.#records.valueLength(record) !== ABSENT
  }

  /** Key and value belong to the frozen generation from now on. */
  #preserve(record: RecordNumber): void {
    this.#frozen.at(-1)?.preserve(record, {
      revision: this.#records.revision(record),
      address: this.#records.address(record),
      keyLength: this.#records.keyLength(record),
      valueLength: this.#records.valueLength(record),
    })
  }

  /** A generation has been released. */
  #thaw(): void {
    if (this.#frozen.length > 0) return
    this.#frozenRevision = -1
    for (const record of this.#departed) this.#remove(record)
    this.#departed.clear()
  }
}

/** A memtable is an ordered map from keys to values in memory, which can be frozen while writes go on. */

import { assert, required } from '../base/assert.ts'
import { type IndexPosition, KeyIndex } from './key-index.ts'
import { type Address, ValueArena } from './value-arena.ts'

/** The length of a value that is not there. */
const ABSENT = -1

/** The present state of one key, overwritten in place. */
export class MemtableRecord {
  readonly key: string
  /** Of the last change, a deletion included. */
  revision = 0
  address: Address = 0
  /** Of the value; -1 when the key is absent: such a record stays only while a frozen generation needs its place. */
  length: number = ABSENT

  constructor(key: string) {
    this.key = key
  }
}

/** What a record was when a generation was frozen. */
interface Version {
  readonly revision: number
  readonly address: Address
  readonly length: number
}

/** Keys in [from, until); an `until` of `''` means to the end. */
export interface Range {
  readonly from: string
  readonly until: string
}

/**
 * Values are copied into an arena, because a view would keep the whole log entry (and the network's buffer around it) for
 * its smallest value. A hash map serves single keys; an index by key order serves scans and is touched only when a key comes or goes.
 *
 * Freezing copies nothing: the first write to a record after it puts the record's old version aside, for the newest frozen
 * generation; older ones find there what they don't have themselves. Keys deleted meanwhile keep their place in the index.
 *
 * Invariant: map and index hold the same records.
 * Invariant: an absent record is listed in `#departed`, which is empty when nothing is frozen.
 */
export class Memtable {
  readonly #records: Map<string, MemtableRecord> = new Map()
  readonly #index: KeyIndex<MemtableRecord> = new KeyIndex()
  readonly #values: ValueArena = new ValueArena()
  readonly #departed: Set<MemtableRecord> = new Set()
  /** Oldest first. */
  readonly #frozen: FrozenMemtable[] = []
  /** Revision of the newest frozen generation; -1 when there is none. */
  #frozenRevision = -1
  #size = 0

  /** Keys that are present. */
  get size(): number {
    return this.#size
  }

  /** Bytes of memory that values take, those of frozen generations included. */
  get valueBytes(): number {
    return this.#values.size
  }

  get(key: string): MemtableRecord | undefined {
    const record = this.#records.get(key)
    return record === undefined || record.length === ABSENT ? undefined : record
  }

  /** The value of a present record: a view, good until the next write. */
  valueOf(record: MemtableRecord): Uint8Array {
    return this.#values.view(record.address, record.length)
  }

  /** Copies `value`; `revision` must be above all before it. Returns the memtable's own copy of the key. */
  set(key: string, value: Uint8Array, revision: number): string {
    const record = this.#records.get(key) ?? this.#create(key)
    if (record.length === ABSENT) this.#arrive(record)
    if (record.revision <= this.#frozenRevision) this.#preserve(record)
    const { address, length } = record
    record.address = length === ABSENT ? this.#values.put(value) : this.#values.replace(address, length, value)
    record.length = value.length
    record.revision = revision
    return record.key
  }

  /** The key must be present. */
  delete(key: string, revision: number): void {
    const record = required(this.get(key), 'a record to delete')
    if (record.revision <= this.#frozenRevision) this.#preserve(record)
    else this.#values.free(record.address, record.length)
    record.length = ABSENT
    record.revision = revision
    this.#size--
    if (this.#frozen.length > 0) this.#departed.add(record)
    else this.#remove(record)
  }

  /** Calls `visit` with each present record in order of keys until it returns false. It must not write. */
  scan(range: Range, reverse: boolean, visit: (record: MemtableRecord) => boolean): void {
    if (reverse) this.#scanBack(range, visit)
    else this.#scanForth(range, visit)
  }

  /** The present state, which stays; `revision` is that of the newest change. Release it when done. */
  freeze(revision: number): FrozenMemtable {
    const frozen = new FrozenMemtable(this.#frozen, this.#index, this.#values, () => this.#thaw())
    this.#frozen.push(frozen)
    this.#frozenRevision = revision
    return frozen
  }

  #scanForth(range: Range, visit: (record: MemtableRecord) => boolean): void {
    const position = this.#index.seek(range.from)
    const until = range.until === '' ? this.#index.end() : this.#index.seek(range.until)
    for (let record = this.#index.next(position); record !== undefined; record = this.#index.next(position)) {
      const isBeyond = position.leaf > until.leaf || (position.leaf === until.leaf && position.slot > until.slot)
      if (isBeyond || (record.length !== ABSENT && !visit(record))) return
    }
  }

  #scanBack(range: Range, visit: (record: MemtableRecord) => boolean): void {
    const from = this.#index.seek(range.from)
    const position = range.until === '' ? this.#index.end() : this.#index.seek(range.until)
    for (let record = this.#index.previous(position); record !== undefined; record = this.#index.previous(position)) {
      const isBefore = position.leaf < from.leaf || (position.leaf === from.leaf && position.slot < from.slot)
      if (isBefore || (record.length !== ABSENT && !visit(record))) return
    }
  }

  #create(key: string): MemtableRecord {
    const record = new MemtableRecord(key)
    this.#records.set(key, record)
    this.#index.insert(record)
    return record
  }

  #arrive(record: MemtableRecord): void {
    this.#departed.delete(record)
    this.#size++
  }

  #remove(record: MemtableRecord): void {
    this.#records.delete(record.key)
    this.#index.remove(record.key)
  }

  /** The value belongs to the frozen generation from now on. */
  #preserve(record: MemtableRecord): void {
    const { revision, address, length } = record
    this.#frozen.at(-1)?.preserve(record, { revision, address, length })
    record.length = ABSENT
  }

  /** A generation has been released. */
  #thaw(): void {
    if (this.#frozen.length > 0) return
    this.#frozenRevision = -1
    for (const record of this.#departed) this.#remove(record)
    this.#departed.clear()
  }
}

/** A memtable as it was at one moment. */
export class FrozenMemtable {
  readonly #generations: FrozenMemtable[]
  readonly #index: KeyIndex<MemtableRecord>
  readonly #values: ValueArena
  readonly #released: () => void
  readonly #before: Map<MemtableRecord, Version> = new Map()
  #isReleased = false

  /** @param generations all that are frozen at present, oldest first; this one is appended next */
  constructor(
    generations: FrozenMemtable[],
    index: KeyIndex<MemtableRecord>,
    values: ValueArena,
    released: () => void,
  ) {
    this.#generations = generations
    this.#index = index
    this.#values = values
    this.#released = released
  }

  /** Keeps a record's version, which is about to be overwritten, unless an earlier one is kept already. */
  preserve(record: MemtableRecord, version: Version): void {
    if (!this.#before.has(record)) this.#before.set(record, version)
    else if (version.length !== ABSENT) this.#values.free(version.address, version.length)
  }

  /** Every record as it was, in order of keys; `bytes` is a view. The memtable may be written between two steps. */
  *records(): Generator<{ readonly key: string; readonly revision: number; readonly bytes: Uint8Array }> {
    let position: IndexPosition = this.#index.seek('')
    let version = this.#index.version
    while (true) {
      assert(!this.#isReleased, 'a frozen generation is read before it is released')
      const record = this.#index.next(position)
      if (record === undefined) return
      const { revision, address, length } = this.#versionOf(record)
      if (length === ABSENT) continue
      yield { key: record.key, revision, bytes: this.#values.view(address, length) }
      if (version === this.#index.version) continue
      version = this.#index.version
      position = this.#index.seek(`${record.key}\0`)
    }
  }

  /** What only this generation needed is dropped; an older one takes over the rest. */
  release(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    const at = this.#generations.indexOf(this)
    const older = this.#generations[at - 1]
    for (const [record, version] of this.#before) {
      if (older !== undefined) older.preserve(record, version)
      else if (version.length !== ABSENT) this.#values.free(version.address, version.length)
    }
    this.#before.clear()
    this.#generations.splice(at, 1)
    this.#released()
  }

  /** The version put aside here, if there is one. */
  versionBefore(record: MemtableRecord): Version | undefined {
    return this.#before.get(record)
  }

  #versionOf(record: MemtableRecord): Version {
    for (let at = this.#generations.indexOf(this); at < this.#generations.length; at++) {
      const version = this.#generations[at]?.versionBefore(record)
      if (version !== undefined) return version
    }
    return record
  }
}

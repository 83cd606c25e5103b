/** A memtable is an ordered map from keys to values in memory, which can be frozen while writes go on. */

import { assert } from '../base/assert.ts'
import { type IndexPosition, KeyIndex } from './key-index.ts'

/**
 * The present state of one key. Records are overwritten in place, values too: the memtable owns their bytes, copied from
 * the log entry, because a view would keep the whole entry (and the network's buffer around it) for its smallest value.
 */
export class MemtableRecord {
  readonly key: string
  /** Of the last change, a deletion included. */
  revision = 0
  /** Undefined when the key is absent; such a record stays only while a frozen generation needs its place. */
  bytes: Uint8Array | undefined = undefined

  constructor(key: string) {
    this.key = key
  }
}

/** What a record was when a generation was frozen. */
interface Version {
  readonly revision: number
  readonly bytes: Uint8Array | undefined
}

/** Keys in [from, until); an `until` of `''` means to the end. */
export interface Range {
  readonly from: string
  readonly until: string
}

/**
 * A hash map serves single keys; an index by key order serves scans and is touched only when a key comes or goes.
 *
 * Freezing copies nothing: the first write to a record after it puts the record's old version aside, for the newest frozen
 * generation; older ones find there what they don't have themselves. Keys deleted meanwhile keep their place in the index.
 *
 * Invariant: map and index hold the same records.
 * Invariant: a record without bytes is listed in `#departed`, which is empty when nothing is frozen.
 */
export class Memtable {
  readonly #records: Map<string, MemtableRecord> = new Map()
  readonly #index: KeyIndex<MemtableRecord> = new KeyIndex()
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

  get(key: string): MemtableRecord | undefined {
    const record = this.#records.get(key)
    return record?.bytes === undefined ? undefined : record
  }

  /** Copies `value`; `revision` must be above all before it. Returns the memtable's own copy of the key. */
  set(key: string, value: Uint8Array, revision: number): string {
    const record = this.#records.get(key) ?? this.#create(key)
    if (record.revision <= this.#frozenRevision) this.#preserve(record)
    else if (record.bytes !== undefined && record.bytes.length === value.length) {
      record.bytes.set(value)
      record.revision = revision
      return record.key
    }
    if (record.bytes === undefined) this.#arrive(record)
    // Not `slice`: of a Node Buffer that would be a view.
    record.bytes = new Uint8Array(value)
    record.revision = revision
    return record.key
  }

  /** The key must be present. */
  delete(key: string, revision: number): void {
    const record = this.#records.get(key)
    assert(record?.bytes !== undefined, 'a deleted key is present')
    if (record.revision <= this.#frozenRevision) this.#preserve(record)
    record.bytes = undefined
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
    const frozen = new FrozenMemtable(this.#frozen, this.#index, () => this.#thaw())
    this.#frozen.push(frozen)
    this.#frozenRevision = revision
    return frozen
  }

  #scanForth(range: Range, visit: (record: MemtableRecord) => boolean): void {
    const position = this.#index.seek(range.from)
    const until = range.until === '' ? this.#index.end() : this.#index.seek(range.until)
    for (let record = this.#index.next(position); record !== undefined; record = this.#index.next(position)) {
      const isBeyond = position.leaf > until.leaf || (position.leaf === until.leaf && position.slot > until.slot)
      if (isBeyond || (record.bytes !== undefined && !visit(record))) return
    }
  }

  #scanBack(range: Range, visit: (record: MemtableRecord) => boolean): void {
    const from = this.#index.seek(range.from)
    const position = range.until === '' ? this.#index.end() : this.#index.seek(range.until)
    for (let record = this.#index.previous(position); record !== undefined; record = this.#index.previous(position)) {
      const isBefore = position.leaf < from.leaf || (position.leaf === from.leaf && position.slot < from.slot)
      if (isBefore || (record.bytes !== undefined && !visit(record))) return
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

  #preserve(record: MemtableRecord): void {
    this.#frozen.at(-1)?.preserve(record)
    // The old bytes belong to the frozen generation now.
    if (record.bytes !== undefined) record.bytes = EMPTY
  }

  /** A generation has been released. */
  #thaw(): void {
    if (this.#frozen.length > 0) return
    this.#frozenRevision = -1
    for (const record of this.#departed) this.#remove(record)
    this.#departed.clear()
  }
}

const EMPTY: Uint8Array = new Uint8Array(0)

/** A memtable as it was at one moment. */
export class FrozenMemtable {
  readonly #generations: FrozenMemtable[]
  readonly #index: KeyIndex<MemtableRecord>
  readonly #released: () => void
  readonly #before: Map<MemtableRecord, Version> = new Map()
  #isReleased = false

  /** @param generations all that are frozen at present, oldest first; this one is appended next */
  constructor(generations: FrozenMemtable[], index: KeyIndex<MemtableRecord>, released: () => void) {
    this.#generations = generations
    this.#index = index
    this.#released = released
  }

  /** Keeps a record's version, which is about to be overwritten, unless an earlier one is kept already. */
  preserve(record: MemtableRecord, version: Version = { revision: record.revision, bytes: record.bytes }): void {
    if (!this.#before.has(record)) this.#before.set(record, version)
  }

  /** Every record as it was, in order of keys. The memtable may be written between two steps. */
  *records(): Generator<{ readonly key: string; readonly revision: number; readonly bytes: Uint8Array }> {
    let position: IndexPosition = this.#index.seek('')
    let version = this.#index.version
    while (true) {
      assert(!this.#isReleased, 'a frozen generation is read before it is released')
      const record = this.#index.next(position)
      if (record === undefined) return
      const { bytes, revision } = this.#versionOf(record)
      if (bytes === undefined) continue
      yield { key: record.key, revision, bytes }
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
    if (older !== undefined) for (const [record, version] of this.#before) older.preserve(record, version)
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

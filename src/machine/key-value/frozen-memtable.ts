/** A frozen memtable is a memtable as it was at one moment; memtables call it a generation. */

import { assert } from '../../base/assert.ts'
import { type Span, spanOf } from '../../base/span.ts'
import type { Address, ValueArena } from '../value-arena.ts'
import type { KeyIndex } from './key-index.ts'
import { ABSENT, NONE, type RecordNumber, type RecordStore } from './record-store.ts'

/** What a record was when a generation was frozen, and the piece that it had then. */
export interface Version {
  readonly revision: number
  readonly address: Address
  readonly keyLength: number
  readonly valueLength: number
}

/** What generations share with their memtable. */
export interface MemtableContent {
  readonly records: RecordStore
  readonly index: KeyIndex
  readonly values: ValueArena
}

export interface FrozenRecord {
  /** A view. */
  readonly key: Uint8Array
  readonly revision: number
  /** A view. */
  readonly value: Uint8Array
}

/**
 * Freezing copies nothing: the first write to a record after it puts the record's version aside, for the newest
 * generation; older ones find there what they don't have themselves. Keys deleted meanwhile keep their place in the
 * index. A record that is newer than a generation, and of which no version was put aside, was absent in it.
 */
export class FrozenMemtable {
  readonly revision: number
  readonly #generations: FrozenMemtable[]
  readonly #content: MemtableContent
  readonly #released: () => void
  readonly #before: Map<RecordNumber, Version> = new Map()
  #isReleased = false

  /** @param generations all that are frozen at present, oldest first; this one is appended next */
  constructor(generations: FrozenMemtable[], content: MemtableContent, revision: number, released: () => void) {
    this.revision = revision
    this.#generations = generations
    this.#content = content
    this.#released = released
  }

  /** Keeps a record's version, which is about to be overwritten, unless it is of no use here. */
  preserve(record: RecordNumber, version: Version): void {
    if (version.revision <= this.revision && !this.#before.has(record)) this.#before.set(record, version)
    else this.#free(version)
  }

  /** Every record as it was, in order of keys. The memtable may be written between two steps. */
  *records(): Generator<FrozenRecord> {
    const { index } = this.#content
    let position = index.seek(spanOf(new Uint8Array(0)))
    let { version } = index
    while (true) {
      assert(!this.#isReleased, 'a frozen generation is read before it is released')
      const record = index.next(position)
      if (record === NONE) return
      const found = this.#recordOf(record)
      if (found === undefined) continue
      yield found
      if (version === index.version) continue
      version = index.version
      position = index.seek(this.#keyOf(record))
      index.next(position)
    }
  }

  /** What only this generation needed is dropped; an older one takes over the rest. */
  release(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    const at = this.#generations.indexOf(this)
    const older = this.#generations[at - 1]
    for (const [record, version] of this.#before) {
      if (older === undefined) this.#free(version)
      else older.preserve(record, version)
    }
    this.#before.clear()
    this.#generations.splice(at, 1)
    this.#released()
  }

  /** The version put aside here, if there is one. */
  versionBefore(record: RecordNumber): Version | undefined {
    return this.#before.get(record)
  }

  #free({ address, keyLength, valueLength }: Version): void {
    this.#content.values.free(address, keyLength + valueLength)
  }

  #recordOf(record: RecordNumber): FrozenRecord | undefined {
    const { values } = this.#content
    const { revision, address, keyLength, valueLength } = this.#versionOf(record)
    if (valueLength === ABSENT || revision > this.revision) return undefined
    const piece = values.view(address, keyLength + valueLength)
    return { key: piece.subarray(0, keyLength), revision, value: piece.subarray(keyLength) }
  }

  #versionOf(record: RecordNumber): Version {
    for (let at = this.#generations.indexOf(this); at < this.#generations.length; at++) {
      const version = this.#generations[at]?.versionBefore(record)
      if (version !== undefined) return version
    }
    const { records } = this.#content
    return {
      revision: records.revision(record),
      address: records.address(record),
      keyLength: records.keyLength(record),
      valueLength: records.valueLength(record),
    }
  }

  /** As the index has it: where the record is now. */
  #keyOf(record: RecordNumber): Span {
    const { records, values } = this.#content
    return spanOf(values.view(records.address(record), records.keyLength(record)))
  }
}

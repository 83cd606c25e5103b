/** The key-value tables of a shard: maps from keys to values, each change of which has a revision. */

import { assert } from '../../base/assert.ts'
import { type ByteReader, ByteWriter } from '../../base/bytes.ts'
import { KEY_LIMIT_BYTES, VALUE_LIMIT_BYTES } from '../../base/limit.ts'
import { isEqualSpan, type Span, spanOf } from '../../base/span.ts'
import type { LeaderMicros } from '../batch.ts'
import { COMMAND, expectEnd, type Outcome, readCondition, STATUS } from '../command.ts'
import { compareKeys } from '../key-order.ts'
import type { Announcement, Task } from '../table.ts'
import type { ChangeLog, NewChange } from './changes.ts'
import { emptyKey, type Key, keyOf, readKey } from './key.ts'
import type { KeyHash } from './key-hash.ts'
import { Memtable } from './memtable.ts'
import { NONE, type RecordNumber } from './record-store.ts'

const NO_BYTES: Uint8Array = new Uint8Array(0)
const ENCODER = new TextEncoder()
const MOST_PAGE_ENTRIES = 10_000
const MOST_PAGE_BYTES = 1024 * 1024
/** Revisions stay safe integers for centuries; a leader whose clock is beyond is not believed. */
const LATEST_MICROS: LeaderMicros = 2 ** 53 - 2 ** 42

/** A map by its name; without a table for as long as it has no key, but for the map that was emptied last. */
interface NamedMap {
  readonly name: string
  readonly encoded: Span
  table: Memtable | undefined
}

/**
 * Invariant: `revision` is that of the newest change, and above those of all others.
 */
export class KeyValue {
  /** Those that have a table. */
  readonly #maps: Map<string, NamedMap> = new Map()
  readonly #changes: ChangeLog
  readonly #hash: KeyHash
  #revision = 0
  #isChecked = false
  /** Keeps its table for the next key: a map that is filled and emptied in turn makes none each time. */
  #emptied: NamedMap | undefined
  /** The map that was named last: most often it is the next that is named. */
  #last: NamedMap = { name: '', encoded: spanOf(NO_BYTES), table: undefined }
  // Filled again for every command, so that none allocates.
  readonly #key: Key = emptyKey()
  readonly #value: Span = spanOf(NO_BYTES)
  readonly #change: NewChange = { kind: 0, map: '', revision: 0, bytes: NO_BYTES, start: 0, end: 0 }

  constructor(changes: ChangeLog, hash: KeyHash) {
    this.#changes = changes
    this.#hash = hash
  }

  get revision(): number {
    return this.#revision
  }

  /** Maps with their names, in order of these. */
  maps(): readonly (readonly [string, Memtable])[] {
    const maps = [...this.#maps.values()].sort((a, b) => compareKeys(a.name, b.name))
    return maps.map((map) => [map.name, this.#tableOf(map)])
  }

  /** Executes the body of a `set`, which must end at `end`. */
  set(reader: ByteReader, end: number, time: LeaderMicros, outcome: Outcome): void {
    const demanded = this.#condition(reader)
    const map = this.#readMap(reader)
    const start = reader.at
    this.#readKeyAndValue(reader, end)
    const present = demanded < 0 ? demanded : revisionIn(map, this.#key)
    if (present !== demanded) {
      outcome.status = STATUS.conflict
      outcome.revision = present
      return
    }
    outcome.status = STATUS.ok
    outcome.revision = this.revise(time)
    this.#tableOf(map).set(this.#key, this.#value, outcome.revision)
    this.#note(COMMAND.set, map.name, outcome.revision, { bytes: reader.bytes, start, end })
  }

  /** Executes the body of a `delete`, which must end at `end`. */
  delete(reader: ByteReader, end: number, time: LeaderMicros, outcome: Outcome): void {
    const demanded = this.#condition(reader)
    const map = this.#readMap(reader)
    const start = reader.at
    readKey(reader, this.#key, this.#hash)
    expectEnd(reader, end)
    const present = revisionIn(map, this.#key)
    if (present === 0 || (demanded >= 0 && present !== demanded)) {
      const isConflict = demanded >= 0 && present !== demanded
      outcome.status = isConflict ? STATUS.conflict : STATUS.absent
      outcome.revision = isConflict ? present : this.#revision
      return
    }
    outcome.status = STATUS.ok
    outcome.revision = this.revise(time)
    const table = this.#tableOf(map)
    table.delete(table.find(this.#key), outcome.revision)
    if (table.size === 0) this.#dropEmpty(map)
    this.#note(COMMAND.delete, map.name, outcome.revision, { bytes: reader.bytes, start, end })
  }

  /** What a `set` or a `delete` as part of a transaction would come to; changes nothing. */
  check({ kind, reader, end, outcome }: Task): void {
    const demanded = readCondition(reader)
    const map = this.#readMap(reader)
    if (kind === COMMAND.set) this.#readKeyAndValue(reader, end)
    else readKey(reader, this.#key, this.#hash)
    expectEnd(reader, end)
    const present = demanded < 0 ? demanded : revisionIn(map, this.#key)
    outcome.status = present === demanded ? STATUS.ok : STATUS.conflict
    outcome.revision = present === demanded ? 0 : present
  }

  /** Executes a part that has been checked, whatever its condition. */
  apply({ kind, reader, end, time, outcome }: Task): void {
    this.#isChecked = true
    if (kind === COMMAND.set) this.set(reader, end, time, outcome)
    else this.delete(reader, end, time, outcome)
    this.#isChecked = false
  }

  /** See `Neighbours.deleteKey`. */
  deleteKey(map: string, key: string, since: number, time: LeaderMicros): void {
    const named = this.#maps.get(map)
    const table = named?.table
    const record = table?.find(keyOf(ENCODER.encode(key), this.#hash)) ?? NONE
    if (named === undefined || table === undefined || record === NONE || table.revisionOf(record) > since) return
    const revision = this.revise(time)
    table.delete(record, revision)
    if (table.size === 0) this.#dropEmpty(named)
    const encoded = new ByteWriter(key.length + 8)
    encoded.text(key)
    this.#note(COMMAND.delete, map, revision, spanOf(encoded.copy()))
  }

  /** See `Neighbours.announce`. */
  announce({ map, key, revision, value }: Announcement): void {
    const encoded = new ByteWriter(key.length + value.length + 16)
    encoded.text(key)
    if (value.length > 0) encoded.blob(value)
    this.#note(value.length > 0 ? COMMAND.set : COMMAND.delete, map, revision, spanOf(encoded.copy()))
  }

  /** See `Neighbours.revise`. */
  revise(time: LeaderMicros): number {
    this.#revision = Math.max(this.#revision + 1, Math.min(time, LATEST_MICROS))
    this.#changes.reached(this.#revision)
    return this.#revision
  }

  /** Answers the body of a `get`; false when it is none. */
  get(reader: ByteReader, reply: ByteWriter): boolean {
    const { table } = this.#readMap(reader)
    readKey(reader, this.#key, this.#hash)
    if (reader.remaining > 0) return false
    const record = table?.find(this.#key) ?? NONE
    if (table === undefined || record === NONE) {
      reply.u8(STATUS.absent)
      reply.u53(this.#revision)
      return true
    }
    reply.u8(STATUS.ok)
    reply.u53(table.revisionOf(record))
    reply.raw(table.valueOf(record))
    return true
  }

  /** Answers the body of a `scan`; false when it is none. */
  scan(reader: ByteReader, reply: ByteWriter): boolean {
    const { table = new Memtable(this.#hash) } = this.#readMap(reader)
    const range = { from: readSpan(reader), until: readSpan(reader) }
    const reverse = reader.u8()
    const limit = Math.max(1, Math.min(reader.u32(), MOST_PAGE_ENTRIES))
    const byteLimit = Math.min(reader.u32(), MOST_PAGE_BYTES)
    if (reader.remaining > 0 || reverse > 1) return false
    const records: RecordNumber[] = []
    let bytes = 0
    let next: RecordNumber = NONE
    table.scan(range, reverse === 1, (record) => {
      bytes += table.lengthOf(record)
      const isFull = records.length >= limit || (bytes > byteLimit && records.length > 0)
      if (isFull) next = reverse === 1 ? (records.at(-1) ?? NONE) : record
      else records.push(record)
      return !isFull
    })
    reply.u8(STATUS.ok)
    reply.u53(this.#revision)
    reply.u8(next === NONE ? 0 : 1)
    reply.blob(next === NONE ? NO_BYTES : table.keyOf(next))
    reply.u32(records.length)
    for (const record of records) {
      reply.blob(table.keyOf(record))
      reply.u53(table.revisionOf(record))
      reply.blob(table.valueOf(record))
    }
    return true
  }

  /** Begins to put back a state whose newest change had this revision. */
  begin(revision: number): void {
    assert(this.#revision === 0, 'a state is loaded into nothing')
    this.#revision = revision
  }

  load(map: string, key: Span, revision: number, value: Uint8Array): void {
    assert(revision <= this.#revision, 'no record is newer than its shard')
    if (map !== this.#last.name) this.#last = this.#named(map)
    this.#tableOf(this.#last).set({ ...key, hash: this.#hash.of(key) }, spanOf(value), revision)
  }

  #condition(reader: ByteReader): number {
    const demanded = readCondition(reader)
    return this.#isChecked ? -1 : demanded
  }

  #readMap(reader: ByteReader): NamedMap {
    const from = reader.at
    const start = reader.skipText(KEY_LIMIT_BYTES)
    const { encoded } = this.#last
    if (isEqualSpan(encoded, { bytes: reader.bytes, start, end: reader.at })) return this.#last
    reader.at = from
    this.#last = this.#named(reader.text())
    return this.#last
  }

  #named(name: string): NamedMap {
    return this.#maps.get(name) ?? { name, encoded: spanOf(ENCODER.encode(name)), table: undefined }
  }

  /** The table of the map, which has one from now on. It was the last to be named. */
  #tableOf(map: NamedMap): Memtable {
    if (map.table !== undefined) return map.table
    map.table = new Memtable(this.#hash)
    this.#maps.set(map.name, map)
    return map.table
  }

  /** The map has lost its last key. What is frozen of its table stays with whoever froze it. */
  #dropEmpty(map: NamedMap): void {
    const former = this.#emptied
    this.#emptied = map
    if (former === undefined || former === map || former.table === undefined || former.table.size > 0) return
    former.table = undefined
    this.#maps.delete(former.name)
  }

  #readKeyAndValue(reader: ByteReader, end: number): void {
    readKey(reader, this.#key, this.#hash)
    const value = this.#value
    value.bytes = reader.bytes
    value.start = reader.skipBlob(VALUE_LIMIT_BYTES)
    value.end = reader.at
    expectEnd(reader, end)
  }

  #note(kind: number, map: string, revision: number, { bytes, start, end }: Span): void {
    const change = this.#change
    change.kind = kind
    change.map = map
    change.revision = revision
    change.bytes = bytes
    change.start = start
    change.end = end
    this.#changes.add(change)
  }
}

/** The revision of a present key; 0 when it is absent. */
function revisionIn({ table }: NamedMap, key: Key): number {
  const record = table?.find(key) ?? NONE
  return table === undefined || record === NONE ? 0 : table.revisionOf(record)
}

function readSpan(reader: ByteReader): Span {
  return { bytes: reader.bytes, start: reader.skipText(KEY_LIMIT_BYTES), end: reader.at }
}

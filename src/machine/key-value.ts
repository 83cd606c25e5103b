/** The key-value tables of a shard: maps from keys to values, each change of which has a revision. */

import { assert } from '../base/assert.ts'
import { type ByteReader, ByteWriter, malformed } from '../base/bytes.ts'
import { KEY_LIMIT_BYTES, VALUE_LIMIT_BYTES } from '../base/limit.ts'
import type { LeaderMicros } from './batch.ts'
import type { ChangeLog, Place } from './changes.ts'
import { COMMAND, type Outcome, readCondition, STATUS } from './command.ts'
import { compareKeys } from './key-index.ts'
import { Memtable, type MemtableRecord } from './memtable.ts'
import type { Announcement, Task } from './table.ts'

const MOST_PAGE_ENTRIES = 10_000
const MOST_PAGE_BYTES = 1024 * 1024
/** Revisions stay safe integers for centuries; a leader whose clock is beyond is not believed. */
const LATEST_MICROS: LeaderMicros = 2 ** 53 - 2 ** 42

/**
 * Invariant: `revision` is that of the newest change, and above those of all others.
 */
export class KeyValue {
  readonly #maps: Map<string, Memtable> = new Map()
  readonly #changes: ChangeLog
  #revision = 0
  #isChecked = false

  constructor(changes: ChangeLog) {
    this.#changes = changes
  }

  get revision(): number {
    return this.#revision
  }

  /** Maps with their names, in order of these. */
  maps(): readonly (readonly [string, Memtable])[] {
    return [...this.#maps].sort(([a], [b]) => compareKeys(a, b))
  }

  /** Executes the body of a `set`, which must end at `end`. */
  set(reader: ByteReader, end: number, time: LeaderMicros, outcome: Outcome): void {
    const demanded = this.#condition(reader)
    const map = reader.text(KEY_LIMIT_BYTES)
    const tail = reader.at
    const key = reader.text(KEY_LIMIT_BYTES)
    const value = reader.blob(VALUE_LIMIT_BYTES)
    if (reader.at !== end) throw malformed('a command is longer than its content')
    const present = demanded < 0 ? demanded : (this.#maps.get(map)?.get(key)?.revision ?? 0)
    if (present !== demanded) {
      outcome.status = STATUS.conflict
      outcome.revision = present
      return
    }
    const revision = this.revise(time)
    // The change keeps a key that lives anyway: a string for each would outlive its batch and burden the collector.
    const ownKey = this.#mapOf(map).set(key, value, revision)
    this.#changes.add({ kind: COMMAND.set, map, key: ownKey, revision }, { entry: reader.bytes, start: tail, end })
    outcome.status = STATUS.ok
    outcome.revision = revision
  }

  /** Executes the body of a `delete`, which must end at `end`. */
  delete(reader: ByteReader, end: number, time: LeaderMicros, outcome: Outcome): void {
    const demanded = this.#condition(reader)
    const map = reader.text(KEY_LIMIT_BYTES)
    const tail = reader.at
    const key = reader.text(KEY_LIMIT_BYTES)
    if (reader.at !== end) throw malformed('a command is longer than its content')
    const table = this.#maps.get(map)
    const present = table?.get(key)?.revision ?? 0
    if (table === undefined || present === 0 || (demanded >= 0 && present !== demanded)) {
      const isConflict = demanded >= 0 && present !== demanded
      outcome.status = isConflict ? STATUS.conflict : STATUS.absent
      outcome.revision = isConflict ? present : this.#revision
      return
    }
    const revision = this.revise(time)
    table.delete(key, revision)
    this.#changes.add({ kind: COMMAND.delete, map, key, revision }, { entry: reader.bytes, start: tail, end })
    outcome.status = STATUS.ok
    outcome.revision = revision
  }

  /** What a `set` or a `delete` as part of a transaction would come to; changes nothing. */
  check({ kind, reader, end, outcome }: Task): void {
    const demanded = readCondition(reader)
    const map = reader.text(KEY_LIMIT_BYTES)
    const key = reader.text(KEY_LIMIT_BYTES)
    if (kind === COMMAND.set) reader.blob(VALUE_LIMIT_BYTES)
    if (reader.at !== end) throw malformed('a command is longer than its content')
    const present = demanded < 0 ? demanded : (this.#maps.get(map)?.get(key)?.revision ?? 0)
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
  deleteKey(map: string, key: string, time: LeaderMicros): void {
    const table = this.#maps.get(map)
    if (table?.get(key) === undefined) return
    const revision = this.revise(time)
    table.delete(key, revision)
    const encoded = new ByteWriter(key.length + 8)
    encoded.text(key)
    this.#changes.add({ kind: COMMAND.delete, map, key, revision }, whole(encoded.copy()))
  }

  /** See `Neighbours.announce`. */
  announce({ map, key, revision, value }: Announcement): void {
    const encoded = new ByteWriter(key.length + value.length + 16)
    encoded.text(key)
    if (value.length > 0) encoded.blob(value)
    const kind = value.length > 0 ? COMMAND.set : COMMAND.delete
    this.#changes.add({ kind, map, key, revision }, whole(encoded.copy()))
  }

  /** See `Neighbours.revise`. */
  revise(time: LeaderMicros): number {
    this.#revision = Math.max(this.#revision + 1, Math.min(time, LATEST_MICROS))
    this.#changes.reached(this.#revision)
    return this.#revision
  }

  /** Answers the body of a `get`; false when it is none. */
  get(reader: ByteReader, reply: ByteWriter): boolean {
    const map = reader.text(KEY_LIMIT_BYTES)
    const key = reader.text(KEY_LIMIT_BYTES)
    if (reader.remaining > 0) return false
    const table = this.#maps.get(map)
    const record = table?.get(key)
    reply.u8(record === undefined ? STATUS.absent : STATUS.ok)
    reply.u53(record === undefined ? this.#revision : record.revision)
    if (table !== undefined && record !== undefined) reply.raw(table.valueOf(record))
    return true
  }

  /** Answers the body of a `scan`; false when it is none. */
  scan(reader: ByteReader, reply: ByteWriter): boolean {
    const map = reader.text(KEY_LIMIT_BYTES)
    const range = { from: reader.text(KEY_LIMIT_BYTES), until: reader.text(KEY_LIMIT_BYTES) }
    const reverse = reader.u8()
    const limit = Math.max(1, Math.min(reader.u32(), MOST_PAGE_ENTRIES))
    const byteLimit = Math.min(reader.u32(), MOST_PAGE_BYTES)
    if (reader.remaining > 0 || reverse > 1) return false
    const records: MemtableRecord[] = []
    let bytes = 0
    let next: string | undefined
    const table = this.#maps.get(map)
    table?.scan(range, reverse === 1, (record) => {
      bytes += record.key.length + record.length
      const isFull = records.length >= limit || (bytes > byteLimit && records.length > 0)
      if (isFull) next = reverse === 1 ? records.at(-1)?.key : record.key
      else records.push(record)
      return !isFull
    })
    this.#encodeBeginning(records.length, next, reply)
    for (const record of records) {
      reply.text(record.key)
      reply.u53(record.revision)
      if (table !== undefined) reply.blob(table.valueOf(record))
    }
    return true
  }

  /** Begins to put back a state whose newest change had this revision. */
  begin(revision: number): void {
    assert(this.#revision === 0, 'a state is loaded into nothing')
    this.#revision = revision
  }

  load(map: string, key: string, revision: number, value: Uint8Array): void {
    assert(revision <= this.#revision, 'no record is newer than its shard')
    this.#mapOf(map).set(key, value, revision)
  }

  #condition(reader: ByteReader): number {
    const demanded = readCondition(reader)
    return this.#isChecked ? -1 : demanded
  }

  #encodeBeginning(entries: number, next: string | undefined, reply: ByteWriter): void {
    reply.u8(STATUS.ok)
    reply.u53(this.#revision)
    reply.u8(next === undefined ? 0 : 1)
    reply.text(next ?? '')
    reply.u32(entries)
  }

  #mapOf(name: string): Memtable {
    let table = this.#maps.get(name)
    if (table === undefined) {
      table = new Memtable()
      this.#maps.set(name, table)
    }
    return table
  }
}

/** A change that is all of its entry. */
function whole(entry: Uint8Array): Place {
  return { entry, start: 0, end: entry.length }
}

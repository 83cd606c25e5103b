/** The outbox of a shard holds commands that its transactions emit for other shards, until those have executed them. */

import { type ByteReader, ByteWriter, malformed } from '../base/bytes.ts'
import { VALUE_LIMIT_BYTES } from '../base/limit.ts'
import { Ring } from '../base/ring.ts'
import type { LeaderMicros } from './batch.ts'
import { COMMAND, type Envelope, encodeHead, NO_SESSION, STATUS } from './command.ts'
import type { OutboxView } from './leader-view.ts'
import { type FrozenTable, TABLE, type Table, type Task, tableOf } from './table.ts'
import { PARTS_LIMIT, type Part } from './transaction.ts'

export interface OutboxLimits {
  /** Commands that wait, and their bytes; exceeded only by parts of one transaction. */
  readonly pending: number
  readonly bytes: number
}

const OUTBOX_LIMITS: OutboxLimits = { pending: 65_536, bytes: 64 * 1024 * 1024 }

/** Most shards that one sends to or receives from: all that there can be. */
const SHARDS_LIMIT = 65_536
/** Longest body of an emitted command: a value with its key and headers. */
const BODY_LIMIT_BYTES: number = VALUE_LIMIT_BYTES + 262_144
const VERSION = 1
/** A section is closed beyond this; one record more is the exception that sections may be. */
const FULL_BYTES = 59_000
/** What a record holds; its first byte. A target comes before its commands. */
const RECORD = { target: 1, pending: 2, source: 3 } as const

/** Sequences make these commands safe to send again, so they need no session. */
const ANYONE: Envelope = { session: NO_SESSION, sequence: 1, acknowledged: 1 }

type Pending = ReturnType<OutboxView['pending']>[number]

interface Target {
  /** Of the next command that is emitted for it. */
  next: number
  /** Oldest first, with sequences without gaps up to `next`. */
  readonly pending: Ring<Pending>
}

/**
 * Kinds of the machine's own range. `emit` (only a part): `[target shard u32, kind u8, body]` is kept under the target's
 * next sequence, from 1. `relay`: `[source shard u32, sequence u53, kind u8, body]` is executed by the target when the
 * sequence is the next of its source: `ok`, whatever the inner command comes to, unless that is `full`, which executes
 * nothing: nobody else could be told that there was no room, so it stays in the outbox and is sent again. An earlier sequence has been executed
 * before (`duplicate`), a later one is `conflict` with the next as number. `relayed`: `[target shard u32, sequence u53]`:
 * the target has executed everything up to there, so it is dropped. Commands of the machine itself are not emitted.
 *
 * Bodies of `pending` are relay bodies from the sequence on: a shard does not know its own number, so the leader writes
 * head and source before them ({@link encodeRelay}).
 */
export class OutboxTable implements Table, OutboxView {
  readonly type: number = TABLE.machine
  readonly dueAt: LeaderMicros = Number.POSITIVE_INFINITY
  version = 0
  readonly #limits: OutboxLimits
  readonly #targets: Map<number, Target> = new Map()
  /** The next sequence of each source. */
  readonly #sources: Map<number, number> = new Map()
  #count = 0
  #bytes = 0

  constructor(limits: OutboxLimits = OUTBOX_LIMITS) {
    this.#limits = limits
  }

  /** The sequence that is executed next of what this source relays. */
  nextOf(source: number): number {
    return this.#sources.get(source) ?? 1
  }

  /** The next of this source was executed. */
  admit(source: number): void {
    this.#sources.set(source, this.nextOf(source) + 1)
  }

  /** Whether so many shards send here that no other can be one. */
  isStrange(source: number): boolean {
    return this.#sources.size >= SHARDS_LIMIT && !this.#sources.has(source)
  }

  *targets(): Iterable<number> {
    for (const [target, { pending }] of this.#targets) if (pending.length > 0) yield target
  }

  pending(target: number, limit: number): readonly Pending[] {
    const waiting = this.#targets.get(target)?.pending
    const found: Pending[] = []
    for (let at = 0; at < limit; at++) {
      const next = waiting?.at(at)
      if (next === undefined) break
      found.push(next)
    }
    return found
  }

  run(task: Task): void {
    const { kind, reader, end, outcome } = task
    outcome.status = STATUS.unsupported
    outcome.revision = 0
    if (kind !== COMMAND.relayed) return
    const target = reader.u32()
    const sequence = reader.u53()
    if (reader.at !== end) throw malformed('a command is longer than its content')
    outcome.status = this.#drop(target, sequence) ? STATUS.ok : STATUS.absent
    outcome.revision = sequence
  }

  check({ kind, reader, end, outcome }: Task): void {
    outcome.status = STATUS.unsupported
    outcome.revision = 0
    if (kind !== COMMAND.emit) return
    const target = reader.u32()
    const inner = reader.u8()
    if (end < reader.at || end - reader.at > BODY_LIMIT_BYTES) throw malformed('no such emit')
    if (tableOf(inner) === TABLE.machine) return
    const isNew = !this.#targets.has(target)
    const isFull = this.#count >= this.#limits.pending || this.#bytes >= this.#limits.bytes
    outcome.status = isFull || (isNew && this.#targets.size >= SHARDS_LIMIT) ? STATUS.full : STATUS.ok
  }

  apply({ reader, end, outcome }: Task): void {
    const target = this.#targetOf(reader.u32())
    const sequence = target.next++
    const writer = new ByteWriter(8 + end - reader.at)
    writer.u53(sequence)
    writer.raw(reader.bytes.subarray(reader.at, end))
    this.#keep(target, { sequence, body: writer.take() })
    this.version++
    outcome.status = STATUS.ok
    outcome.revision = sequence
  }

  query(): boolean {
    return false
  }

  advance(): void {}

  /** Commands never change once they are emitted, so references to them will do. */
  freeze(): FrozenTable {
    const targets = [...this.#targets].map(([shard, { next }]) => ({ shard, next, pending: this.pending(shard, next) }))
    const sources = [...this.#sources]
    return { sections: () => encodeSections(targets, sources), release(): void {} }
  }

  load(section: ByteReader): void {
    const version = section.u8()
    if (version !== VERSION) throw malformed(`an outbox of format ${version} cannot be read`)
    while (section.remaining > 0) {
      const record = section.u8()
      const shard = section.u32()
      if (record === RECORD.target) this.#targetOf(shard).next = section.u53()
      else if (record === RECORD.pending) this.#load(this.#targetOf(shard), section.blob().slice())
      else if (record === RECORD.source) this.#sources.set(shard, section.u53())
      else throw malformed(`an outbox has no records of kind ${record}`)
    }
  }

  #load(target: Target, body: Uint8Array): void {
    const view = new DataView(body.buffer, body.byteOffset, body.length)
    if (body.length < 9) throw malformed('a relayed command has a sequence and a kind')
    this.#keep(target, { sequence: view.getUint32(4, true) * 2 ** 32 + view.getUint32(0, true), body })
  }

  #targetOf(shard: number): Target {
    let target = this.#targets.get(shard)
    if (target === undefined) {
      target = { next: 1, pending: new Ring(this.#limits.pending + PARTS_LIMIT) }
      this.#targets.set(shard, target)
    }
    return target
  }

  #keep(target: Target, pending: Pending): void {
    target.pending.push(pending)
    this.#count++
    this.#bytes += pending.body.length
  }

  #drop(shard: number, upTo: number): boolean {
    const waiting = this.#targets.get(shard)?.pending
    let dropped = 0
    for (let first = waiting?.at(0); first !== undefined && first.sequence <= upTo; first = waiting?.at(0)) {
      waiting?.shift()
      this.#count--
      this.#bytes -= first.body.length
      dropped++
    }
    if (dropped > 0) this.version++
    return dropped > 0
  }
}

interface FrozenTarget {
  readonly shard: number
  readonly next: number
  readonly pending: readonly Pending[]
}

function* encodeSections(
  targets: readonly FrozenTarget[],
  sources: readonly (readonly [number, number])[],
): Generator<Uint8Array> {
  const writer = new ByteWriter()
  for (const [record, shard, content] of records(targets, sources)) {
    if (writer.length > 0 && writer.length + contentLength(content) > FULL_BYTES) yield writer.copy()
    if (writer.length === 0) writer.u8(VERSION)
    writer.u8(record)
    writer.u32(shard)
    if (typeof content === 'number') writer.u53(content)
    else writer.blob(content)
  }
  if (writer.length > 0) yield writer.copy()
}

function* records(
  targets: readonly FrozenTarget[],
  sources: readonly (readonly [number, number])[],
): Generator<readonly [record: number, shard: number, content: number | Uint8Array]> {
  for (const { shard, next, pending } of targets) {
    yield [RECORD.target, shard, next]
    for (const { body } of pending) yield [RECORD.pending, shard, body]
  }
  for (const [shard, next] of sources) yield [RECORD.source, shard, next]
}

function contentLength(content: number | Uint8Array): number {
  return typeof content === 'number' ? 8 : content.length
}

/** A command of the engine's own that has a shard execute what another has emitted. */
export function encodeRelay(writer: ByteWriter, source: number, body: Uint8Array): void {
  encodeHead(writer, COMMAND.relay, ANYONE)
  writer.u32(source)
  writer.raw(body)
}

/** Tells the source that its target has executed everything up to this sequence. */
export function encodeRelayed(writer: ByteWriter, target: number, sequence: number): void {
  encodeHead(writer, COMMAND.relayed, ANYONE)
  writer.u32(target)
  writer.u53(sequence)
}

/** A part that has another shard execute a command, once and in order, after the transaction. */
export function emitPart(target: number, { kind, encode }: Part): Part {
  return {
    kind: COMMAND.emit,
    encode(writer) {
      writer.u32(target)
      writer.u8(kind)
      encode(writer)
    },
  }
}

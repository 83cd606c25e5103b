/** The outbox of a shard holds commands that its transactions emit for other shards, until those have executed them. */

import { type ByteReader, ByteWriter, malformed } from '../base/bytes.ts'
import { KEY_LIMIT_BYTES, VALUE_LIMIT_BYTES } from '../base/limit.ts'
import { Ring } from '../base/ring.ts'
import type { LeaderMicros } from './batch.ts'
import { COMMAND, type Envelope, encodeHead, expectEnd, NO_SESSION, STATUS } from './command.ts'
import type { Lane, OutboxView } from './leader-view.ts'
import { QUEUE_COMMAND } from './queue/command.ts'
import { type FrozenTable, TABLE, type Table, type Task, tableOf } from './table.ts'
import { PARTS_LIMIT, type Part } from './transaction.ts'
import { expectVersion } from './version.ts'

export interface OutboxLimits {
  /** Commands that wait, and their bytes; exceeded only by parts of one transaction. */
  readonly pending: number
  readonly bytes: number
}

const OUTBOX_LIMITS: OutboxLimits = { pending: 65_536, bytes: 64 * 1024 * 1024 }
/** A lane that cannot go on leaves the others this many times what it may have itself. */
const LANE_SHARE = 16

/** Most lanes that a shard sends on, and that it receives on. */
const LANES_LIMIT = 65_536
const LANES_RECEIVED_LIMIT = 1_000_000
/** Longest body of an emitted command: a value with its key and headers. */
const BODY_LIMIT_BYTES: number = VALUE_LIMIT_BYTES + 262_144
const VERSION = 2
/** A section is closed beyond this; one record more is the exception that sections may be. */
const FULL_BYTES = 59_000
/** What a record holds; its first byte. A lane comes before its commands. */
const RECORD = { lane: 1, pending: 2, source: 3 } as const

/** Sequences make these commands safe to send again, so they need no session. */
const ANYONE: Envelope = { session: NO_SESSION, sequence: 1, acknowledged: 1 }

type Pending = ReturnType<OutboxView['pending']>[number]

interface OpenLane extends Lane {
  /** Of the next command that is emitted on it. */
  next: number
  /** Oldest first, with sequences without gaps up to `next`. */
  readonly pending: Ring<Pending>
  bytes: number
}

/**
 * Kinds of the machine's own range. `emit` (only a part): `[target shard u32, kind u8, body]` is kept under the next
 * sequence, from 1, of its {@link Lane}, so that a queue that is full holds up no other. `relay`:
 * `[source shard u32, sequence u53, kind u8, body]` is executed by the target when the sequence is the next of its
 * source on this lane: `ok`, whatever the inner command comes to, unless that is `full`, which executes nothing: nobody
 * else could be told that there was no room, so it stays in the outbox and is sent again. An earlier sequence has been
 * executed before (`duplicate`), a later one is `conflict` with the next as number. `relayed`:
 * `[target shard u32, name text, sequence u53]`: the target has executed everything up to there, so it is dropped.
 * Commands of the machine itself are not emitted.
 *
 * Bodies of `pending` are relay bodies from the sequence on: a shard does not know its own number, so the leader writes
 * head and source before them ({@link encodeRelay}).
 */
export class OutboxTable implements Table, OutboxView {
  readonly type: number = TABLE.machine
  readonly dueAt: LeaderMicros = Number.POSITIVE_INFINITY
  version = 0
  readonly #limits: OutboxLimits
  readonly #lanes: Map<string, OpenLane> = new Map()
  /** The next sequence of each lane that comes here. */
  readonly #sources: Map<string, number> = new Map()
  #count = 0
  #bytes = 0

  constructor(limits: OutboxLimits = OUTBOX_LIMITS) {
    this.#limits = limits
  }

  /** The sequence that is executed next of what comes on this lane. */
  nextOf(source: Lane): number {
    return this.#sources.get(keyOf(source)) ?? 1
  }

  /** The next of this lane was executed. */
  admit(source: Lane): void {
    this.#sources.set(keyOf(source), this.nextOf(source) + 1)
  }

  /** Whether so many lanes come here that there is no room for another. */
  isStrange(source: Lane): boolean {
    return this.#sources.size >= LANES_RECEIVED_LIMIT && !this.#sources.has(keyOf(source))
  }

  *lanes(): Iterable<Lane> {
    for (const lane of this.#lanes.values()) if (lane.pending.length > 0) yield lane
  }

  pending(lane: Lane, limit: number): readonly Pending[] {
    const waiting = this.#lanes.get(keyOf(lane))?.pending
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
    const lane = { shard: reader.u32(), name: reader.text(KEY_LIMIT_BYTES) }
    const sequence = reader.u53()
    expectEnd(reader, end)
    outcome.status = this.#drop(this.#lanes.get(keyOf(lane)), sequence) ? STATUS.ok : STATUS.absent
    outcome.revision = sequence
  }

  check({ kind, reader, end, outcome }: Task): void {
    outcome.status = STATUS.unsupported
    outcome.revision = 0
    if (kind !== COMMAND.emit) return
    const shard = reader.u32()
    const inner = reader.u8()
    if (end < reader.at || end - reader.at > BODY_LIMIT_BYTES) throw malformed('no such emit')
    if (tableOf(inner) === TABLE.machine) return
    const lane = this.#lanes.get(keyOf({ shard, name: laneNameOf(inner, reader) }))
    const isFull = this.#count >= this.#limits.pending || this.#bytes >= this.#limits.bytes
    outcome.status = isFull || !this.#hasRoom(lane) ? STATUS.full : STATUS.ok
  }

  apply({ reader, end, outcome }: Task): void {
    const shard = reader.u32()
    const body = reader.at
    const lane = this.#laneOf({ shard, name: laneNameOf(reader.u8(), reader) })
    reader.at = body
    const sequence = lane.next++
    const writer = new ByteWriter(8 + end - reader.at)
    writer.u53(sequence)
    writer.raw(reader.bytes.subarray(reader.at, end))
    this.#keep(lane, { sequence, body: writer.take() })
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
    const lanes = Array.from(this.#lanes.values(), (lane) => ({
      shard: lane.shard,
      name: lane.name,
      next: lane.next,
      pending: this.pending(lane, lane.next),
    }))
    const sources = [...this.#sources]
    return { sections: () => encodeSections(lanes, sources), release(): void {} }
  }

  load(section: ByteReader): void {
    expectVersion('outboxes', section.u8(), VERSION)
    while (section.remaining > 0) {
      const record = section.u8()
      const lane = { shard: section.u32(), name: section.text(KEY_LIMIT_BYTES) }
      if (record === RECORD.lane) this.#laneOf(lane).next = section.u53()
      else if (record === RECORD.pending) this.#load(this.#laneOf(lane), section.blob().slice())
      else if (record === RECORD.source) this.#sources.set(keyOf(lane), section.u53())
      else throw malformed(`an outbox has no records of kind ${record}`)
    }
  }

  #load(lane: OpenLane, body: Uint8Array): void {
    const view = new DataView(body.buffer, body.byteOffset, body.length)
    if (body.length < 9) throw malformed('a relayed command has a sequence and a kind')
    this.#keep(lane, { sequence: view.getUint32(4, true) * 2 ** 32 + view.getUint32(0, true), body })
  }

  #laneOf({ shard, name }: Lane): OpenLane {
    const key = keyOf({ shard, name })
    let lane = this.#lanes.get(key)
    if (lane === undefined) {
      lane = { shard, name, next: 1, pending: new Ring(this.#limits.pending + PARTS_LIMIT), bytes: 0 }
      this.#lanes.set(key, lane)
    }
    return lane
  }

  #hasRoom(lane: OpenLane | undefined): boolean {
    if (lane === undefined) return this.#lanes.size < LANES_LIMIT
    const { pending, bytes } = this.#limits
    return lane.pending.length < pending / LANE_SHARE && lane.bytes < bytes / LANE_SHARE
  }

  #keep(lane: OpenLane, pending: Pending): void {
    lane.pending.push(pending)
    lane.bytes += pending.body.length
    this.#count++
    this.#bytes += pending.body.length
  }

  #drop(lane: OpenLane | undefined, upTo: number): boolean {
    if (lane === undefined) return false
    const waiting = lane.pending
    let dropped = 0
    for (let first = waiting.at(0); first !== undefined && first.sequence <= upTo; first = waiting.at(0)) {
      waiting.shift()
      lane.bytes -= first.body.length
      this.#count--
      this.#bytes -= first.body.length
      dropped++
    }
    if (dropped > 0) this.version++
    return dropped > 0
  }
}

function keyOf({ shard, name }: Lane): string {
  return `${shard} ${name}`
}

/**
 * The name of the queue or topic that a command is for, with which its body begins; `''` for others, and for what a
 * full queue must not hold up because it empties it. The reader stays where it is.
 */
export function laneNameOf(kind: number, reader: ByteReader): string {
  const table = tableOf(kind)
  if ((table !== TABLE.queue && table !== TABLE.topic) || kind === QUEUE_COMMAND.arrive) return ''
  const { at } = reader
  const name = reader.text(KEY_LIMIT_BYTES)
  reader.at = at
  return name
}

interface FrozenLane extends Lane {
  readonly next: number
  readonly pending: readonly Pending[]
}

function* encodeSections(
  lanes: readonly FrozenLane[],
  sources: readonly (readonly [string, number])[],
): Generator<Uint8Array> {
  const writer = new ByteWriter()
  for (const [record, { shard, name }, content] of records(lanes, sources)) {
    if (writer.length > 0 && writer.length + name.length * 3 + contentLength(content) > FULL_BYTES) yield writer.copy()
    if (writer.length === 0) writer.u8(VERSION)
    writer.u8(record)
    writer.u32(shard)
    writer.text(name)
    if (typeof content === 'number') writer.u53(content)
    else writer.blob(content)
  }
  if (writer.length > 0) yield writer.copy()
}

function* records(
  lanes: readonly FrozenLane[],
  sources: readonly (readonly [string, number])[],
): Generator<readonly [record: number, lane: Lane, content: number | Uint8Array]> {
  for (const lane of lanes) {
    yield [RECORD.lane, lane, lane.next]
    for (const { body } of lane.pending) yield [RECORD.pending, lane, body]
  }
  for (const [key, next] of sources) {
    const space = key.indexOf(' ')
    yield [RECORD.source, { shard: Number(key.slice(0, space)), name: key.slice(space + 1) }, next]
  }
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

/** Tells the source that the lane's shard has executed everything up to this sequence. */
export function encodeRelayed(writer: ByteWriter, { shard, name }: Lane, sequence: number): void {
  encodeHead(writer, COMMAND.relayed, ANYONE)
  writer.u32(shard)
  writer.text(name)
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

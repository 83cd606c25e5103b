/** Sections are what a queue table is written to and read from, each by itself. */

import { type ByteReader, ByteWriter, malformed } from '../../base/bytes.ts'
import { KEY_LIMIT_BYTES } from '../../base/limit.ts'
import { expectVersion } from '../version.ts'
import { DEATHS } from './command.ts'
import { decodeSettings, encodeSettings, readOptional, writeOptional } from './encode.ts'
import { readFlow, writeFlow } from './flow.ts'
import { type Details, FLAG, type Messages, type NewMessage, NO_DETAILS } from './messages.ts'
import type { Result } from './results.ts'
import type { QueueState } from './state.ts'
import type { Uploads } from './uploads.ts'

const VERSION = 2
/** A section is closed when the next record might bring it above 60,000 bytes. */
const FULL_BYTES = 60_000
const NEVER: number = Number.POSITIVE_INFINITY

/**
 * Sections of a queue come in this order, after those of the uploads, whose queue is `''`. Each:
 * `[version u8, kind u8, queue text, records]`.
 */
const SECTION = { queue: 1, live: 2, dead: 3, windows: 4, results: 5, uploads: 6 } as const

/** What a record has beyond what all have. */
const HAS = { details: 1, upload: 2 } as const

/** Bits of a queue's header. */
const FACT = { paused: 1, unruled: 2 } as const

/** A queue as it was: indexes are copied, bodies are not. */
export class FrozenQueue {
  readonly #name: string
  readonly #header: Uint8Array
  readonly #live: Int32Array
  readonly #dead: Int32Array
  readonly #columns: FrozenMessages
  readonly #windows: readonly Uint8Array[]
  readonly #results: readonly Result[]
  readonly #messages: Messages
  #isReleased = false

  constructor(state: QueueState) {
    this.#name = state.name
    this.#messages = state.messages
    state.messages.bodies.freeze()
    const header = new ByteWriter()
    header.u8((state.isPaused ? FACT.paused : 0) | (state.isRuled ? 0 : FACT.unruled))
    header.u53(state.dropped)
    encodeSettings(header, state.settings)
    this.#header = header.take()
    this.#live = state.live.slots()
    this.#dead = state.dead.slots()
    this.#columns = freezeMessages(state.messages)
    this.#windows = Array.from(state.windows.all(), encodeWindow)
    this.#results = [...state.results.all()]
  }

  *sections(): Generator<Uint8Array> {
    const writer = new ByteWriter(FULL_BYTES)
    this.#open(writer, SECTION.queue)
    writer.raw(this.#header)
    yield writer.copy()
    yield* this.#write(SECTION.live, this.#records(this.#live))
    yield* this.#write(SECTION.dead, this.#records(this.#dead))
    yield* this.#write(SECTION.windows, this.#windows)
    yield* this.#write(SECTION.results, this.#results.map(encodeResultRecord))
  }

  release(): void {
    if (!this.#isReleased) this.#messages.bodies.thaw()
    this.#isReleased = true
  }

  #open(writer: ByteWriter, kind: number): void {
    openSection(writer, kind, this.#name)
  }

  *#write(kind: number, records: Iterable<Uint8Array>): Generator<Uint8Array> {
    const writer = new ByteWriter(FULL_BYTES)
    for (const record of records) {
      if (writer.length > 0 && writer.length + record.length > FULL_BYTES) yield writer.copy()
      if (writer.length === 0) this.#open(writer, kind)
      writer.raw(record)
    }
    if (writer.length > 0) yield writer.copy()
  }

  /** Views, good until the next is taken. */
  *#records(slots: Int32Array): Generator<Uint8Array> {
    const writer = new ByteWriter(1024)
    const { address, length } = this.#columns
    for (const slot of slots) {
      writer.length = 0
      encodeRecord(writer, this.#columns, slot)
      writer.raw(this.#messages.bodies.get(address[slot] ?? 0, length[slot] ?? 0))
      yield writer.bytes.subarray(0, writer.length)
    }
  }
}

function openSection(writer: ByteWriter, kind: number, queue: string): void {
  writer.u8(VERSION)
  writer.u8(kind)
  writer.text(queue)
}

/** The uploads of all queues, which come before these. */
export function freezeUploads(uploads: Uploads): readonly Uint8Array[] {
  return uploads.freeze((writer) => openSection(writer, SECTION.uploads, ''))
}

/** Columns by slot, as they were: copied whole, which is faster than to gather what is in use. */
interface FrozenMessages
  extends Pick<
    Messages,
    | 'id'
    | 'time'
    | 'address'
    | 'length'
    | 'key'
    | 'priority'
    | 'flags'
    | 'due'
    | 'expires'
    | 'attempts'
    | 'deduplication'
    | 'details'
    | 'uploadOf'
  > {
  /** By number. */
  readonly names: readonly string[]
}

function freezeMessages(messages: Messages): FrozenMessages {
  return {
    id: messages.id.slice(),
    time: messages.time.slice(),
    address: messages.address.slice(),
    length: messages.length.slice(),
    key: messages.key.slice(),
    priority: messages.priority.slice(),
    flags: messages.flags.slice(),
    due: messages.due.copy(),
    expires: messages.expires.copy(),
    attempts: messages.attempts.copy(),
    deduplication: messages.deduplication.copy(),
    details: new Map(messages.details),
    uploadOf: new Map(messages.uploadOf),
    names: messages.keys.all(),
  }
}

/** Everything but the body, `[headers blob, payload blob]`, which follows. */
function encodeRecord(writer: ByteWriter, frozen: FrozenMessages, slot: number): void {
  const time = frozen.time[slot] ?? 0
  const expires = frozen.expires.get(slot)
  const details = frozen.details.get(slot)
  const upload = frozen.uploadOf.get(slot)
  writer.u53(frozen.id[slot] ?? 0)
  writer.u53(time)
  writer.u53(frozen.due.get(slot) || time)
  writer.u53(expires === NEVER ? 0 : expires)
  writer.u32(frozen.attempts.get(slot))
  writer.u8(frozen.priority[slot] ?? 0)
  writer.u8(frozen.flags[slot] ?? 0)
  writer.text(frozen.names[frozen.key[slot] ?? 0] ?? '')
  writer.text(frozen.deduplication.get(slot))
  writer.u8((details === undefined ? 0 : HAS.details) | (upload === undefined ? 0 : HAS.upload))
  if (upload !== undefined) writer.u53(upload)
  if (details === undefined) return
  writer.u8(details.death)
  writer.u53(details.died)
  writeOptional(writer, details.firstError)
  writeOptional(writer, details.lastError)
  writeOptional(writer, details.progress)
  writeFlow(writer, details.flow)
}

function encodeWindow(window: {
  readonly deduplication: string
  readonly id: number
  readonly until: number
  readonly successor: NewMessage | undefined
}): Uint8Array {
  const { deduplication, id, until, successor } = window
  const writer = new ByteWriter(64)
  writer.text(deduplication)
  writer.u53(id)
  writer.u53(until === NEVER ? 0 : until)
  writer.u8(successor === undefined ? 0 : 1)
  if (successor !== undefined) {
    writer.text(successor.key)
    writer.u8(successor.priority)
    writer.u53(successor.due)
    writer.u53(successor.expires === NEVER ? 0 : successor.expires)
    writer.raw(successor.body)
  }
  return writer.take()
}

function encodeResultRecord({ id, until, value }: Result): Uint8Array {
  const writer = new ByteWriter(value.length + 20)
  writer.u53(id)
  writer.u53(until)
  writer.blob(value)
  return writer.take()
}

/** Reads a section into the uploads, or into the queue that `queueOf` gives for its name. */
export function loadSection(reader: ByteReader, uploads: Uploads, queueOf: (name: string) => QueueState): void {
  expectVersion('queues', reader.u8(), VERSION)
  const kind = reader.u8()
  const name = reader.text(KEY_LIMIT_BYTES)
  if (kind === SECTION.uploads) {
    uploads.load(reader)
    return
  }
  const state = queueOf(name)
  if (kind === SECTION.queue) {
    const facts = reader.u8()
    state.isPaused = (facts & FACT.paused) !== 0
    state.dropped = reader.u53()
    state.configure(decodeSettings(reader))
    state.isRuled = (facts & FACT.unruled) === 0
  } else if (kind === SECTION.live) while (reader.remaining > 0) loadLive(state, reader)
  else if (kind === SECTION.dead) while (reader.remaining > 0) loadDead(state, reader)
  else if (kind === SECTION.windows) while (reader.remaining > 0) loadWindow(state, reader)
  else if (kind === SECTION.results) {
    while (reader.remaining > 0) state.results.add(reader.u53(), reader.u53(), reader.blob())
  } else throw malformed(`queues have no sections of kind ${kind}`)
}

function loadLive(state: QueueState, reader: ByteReader): void {
  const { slot, flags } = loadMessage(state, reader)
  if (flags > (FLAG.delayed | FLAG.retried)) throw malformed('no such state of a message')
  state.restore(slot, flags)
}

function loadDead(state: QueueState, reader: ByteReader): void {
  const { slot, flags } = loadMessage(state, reader)
  if (flags !== FLAG.dead) throw malformed('no such state of a dead letter')
  state.restoreDead(slot)
}

function loadMessage(state: QueueState, reader: ByteReader): { readonly slot: number; readonly flags: number } {
  const { messages } = state
  const id = reader.u53()
  if (state.live.find(id) !== -1 || state.dead.find(id) !== -1) throw malformed('a message is there twice')
  const time = reader.u53()
  const due = reader.u53()
  const expires = reader.u53() || NEVER
  const attempts = reader.u32()
  const priority = readPriority(reader)
  const flags = reader.u8()
  const key = reader.text(KEY_LIMIT_BYTES)
  const deduplication = reader.text(KEY_LIMIT_BYTES)
  const has = reader.u8()
  if (has > (HAS.details | HAS.upload)) throw malformed('a message of an unknown format')
  const upload = (has & HAS.upload) === 0 ? undefined : reader.u53()
  const details = (has & HAS.details) === 0 ? NO_DETAILS : readDetails(reader)
  const message = { key, priority, due, expires, deduplication, body: readBody(reader), upload }
  const slot = messages.add(id, time, message)
  messages.attempts.set(slot, attempts)
  if (details !== NO_DETAILS) messages.details.set(slot, details)
  if (details.flow !== undefined) state.keepFlow(slot, details.flow)
  return { slot, flags }
}

function readDetails(reader: ByteReader): Details {
  const death = reader.u8()
  if (death > DEATHS.length) throw malformed('no such reason of a death')
  return {
    death,
    died: reader.u53(),
    firstError: readOptional(reader)?.slice(),
    lastError: readOptional(reader)?.slice(),
    progress: readOptional(reader)?.slice(),
    flow: readFlow(reader),
  }
}

function loadWindow(state: QueueState, reader: ByteReader): void {
  const deduplication = reader.text(KEY_LIMIT_BYTES)
  const window = state.windows.open(deduplication, reader.u53(), reader.u53() || NEVER)
  if (reader.u8() === 0) return
  const key = reader.text(KEY_LIMIT_BYTES)
  const priority = readPriority(reader)
  const due = reader.u53()
  const expires = reader.u53() || NEVER
  window.successor = { key, priority, due, expires, deduplication, body: readBody(reader).slice() }
}

export function readPriority(reader: ByteReader): number {
  const priority = reader.u8()
  if (priority > 9) throw malformed('priorities go from 0 to 9')
  return priority
}

/** A view of `[headers blob, payload blob]`. */
function readBody(reader: ByteReader): Uint8Array {
  const start = reader.at
  reader.blob()
  reader.blob()
  return reader.bytes.subarray(start, reader.at)
}

/** A snapshot is the whole state of a shard as a stream of frames, which ends with a hash of all before. */

import { ByteReader, ByteWriter, malformed } from '../base/bytes.ts'
import { crc32 } from '../base/crc.ts'
import { FRAME_HEADER_BYTES, FrameReader } from '../base/frame.ts'
import { hashBytes } from '../base/hash.ts'
import { KEY_LIMIT_BYTES, VALUE_LIMIT_BYTES } from '../base/limit.ts'
import { compareSpans, type Span, spanOf } from '../base/span.ts'
import type { LeaderMicros } from './batch.ts'
import { isSettled, STATUS } from './command.ts'
import { compareKeys } from './key-order.ts'
import type { FrozenMemtable } from './key-value/frozen-memtable.ts'
import type { Restoration } from './machine.ts'
import type { Piece } from './pieces.ts'
import { SESSION_WINDOW, Session, type Sessions } from './session.ts'
import type { FrozenTable } from './table.ts'
import { expectVersion } from './version.ts'

const VERSION = 1
/** A frame is closed once it has grown beyond this, so that with one small record more it is below 64 KiB. */
const FULL_BYTES = 60_000
const FRAME_LIMIT_BYTES: number = 2 * 1024 * 1024

/** What a frame holds; its first byte. Frames come in this order, but for the end, which only pieces follow. */
const FRAME = { header: 1, sessions: 2, expired: 3, records: 4, end: 5, table: 6, piece: 7 } as const

export interface SnapshotHeader {
  readonly revision: number
  readonly time: LeaderMicros
  /** See `Sessions.forgetful`. */
  readonly forgetful: boolean
}

/** Receives a snapshot's content in its order. Everything has been checked except what only the whole can show. */
export interface SnapshotSink {
  header(header: SnapshotHeader): void
  session(session: Session): void
  expired(id: number, touched: LeaderMicros): void
  /** Keys of a map come in order, and so do maps. */
  record(map: string, key: Span, revision: number, value: Uint8Array): void
  /** A section of a table (see `Table.load`), which must read all of it. */
  section(type: number, section: ByteReader): void
  /** A piece of the state, or of what has come since. */
  piece(upload: number, offset: number, bytes: Uint8Array): void
}

/** A table as it was when it was frozen. */
export interface FrozenSections {
  readonly type: number
  readonly table: FrozenTable
}

/** What follows the beginning. */
export interface FrozenContent {
  readonly maps: readonly FrozenMap[]
  readonly tables: readonly FrozenSections[]
}

/** A map as it was when it was frozen. */
export interface FrozenMap {
  readonly name: string
  readonly table: FrozenMemtable
}

/** Header and sessions as frames: what has to be copied at once, since it goes on changing. */
export function encodeBeginning(header: SnapshotHeader, sessions: Sessions): readonly Uint8Array[] {
  const frames = new FrameWriter()
  const { writer } = frames
  frames.open(FRAME.header)
  writer.u8(VERSION)
  writer.u53(header.revision)
  writer.u53(header.time)
  writer.u8(header.forgetful ? 1 : 0)
  const encoded = [frames.close()]
  for (const session of sessions.live) {
    if (frames.isOpen && writer.length > FULL_BYTES - SESSION_WINDOW * REPLY_BYTES) encoded.push(frames.close())
    if (!frames.isOpen) frames.open(FRAME.sessions)
    encodeSession(writer, session)
  }
  if (frames.isOpen) encoded.push(frames.close())
  for (const [id, touched] of sessions.expired) {
    if (frames.isOpen && writer.length > FULL_BYTES) encoded.push(frames.close())
    if (!frames.isOpen) frames.open(FRAME.expired)
    writer.u53(id)
    writer.u53(touched)
  }
  if (frames.isOpen) encoded.push(frames.close())
  return encoded
}

/** The whole snapshot: the beginning, the maps in order of their names, the tables, and the hash over all. */
export function* encodeSnapshot(beginning: readonly Uint8Array[], content: FrozenContent): Generator<Uint8Array> {
  let hash = 0
  for (const frame of encodeContent(beginning, content)) {
    hash = hashBytes(frame.subarray(FRAME_HEADER_BYTES), hash)
    yield frame
  }
  const frames = new FrameWriter()
  frames.open(FRAME.end)
  frames.writer.u32(hash)
  yield frames.close()
}

function* encodeContent(beginning: readonly Uint8Array[], content: FrozenContent): Generator<Uint8Array> {
  yield* beginning
  const frames = new FrameWriter()
  const { writer } = frames
  for (const { name, table } of content.maps) {
    for (const { key, revision, value } of table.records()) {
      if (frames.isOpen && writer.length + unitsOf(key) * 3 + value.length > FULL_BYTES) yield frames.close()
      if (!frames.isOpen) {
        frames.open(FRAME.records)
        writer.text(name)
      }
      writer.blob(key)
      writer.u53(revision)
      writer.blob(value)
    }
    if (frames.isOpen) yield frames.close()
  }
  for (const { type, table } of content.tables) {
    for (const section of table.sections()) {
      frames.open(FRAME.table)
      writer.u8(type)
      writer.raw(section)
      yield frames.close()
    }
  }
}

/** Bytes of a piece's frame before its own. */
const PIECE_HEAD_BYTES: number = FRAME_HEADER_BYTES + 22

/** How long the frame of a piece is, whether its bytes are there or not. */
export function pieceFrameBytes({ length }: Piece): number {
  return PIECE_HEAD_BYTES + length
}

/**
 * A frame that may follow a snapshot for whoever has not executed what came before it:
 * `[isThere u8, upload u53, offset u53, crc u32, bytes]`. One whose bytes are gone says so, with zeros in their place.
 * That does no harm: if the snapshot has the piece at all, an entry that comes after the snapshot has deleted it, for
 * only entries delete, and the entry reaches whoever takes the snapshot too.
 */
export function encodePiece(piece: Piece, bytes: Uint8Array | undefined): Uint8Array {
  const frames = new FrameWriter(pieceFrameBytes(piece))
  const { writer } = frames
  frames.open(FRAME.piece)
  writer.u8(bytes === undefined ? 0 : 1)
  writer.u53(piece.upload)
  writer.u53(piece.offset)
  writer.u32(piece.crc)
  writer.raw(bytes ?? new Uint8Array(piece.length))
  return frames.close()
}

/** Units of UTF-16 in a text of UTF-8: where a frame ends is reckoned with them, and a part of the format. */
function unitsOf(text: Uint8Array): number {
  let units = 0
  for (const byte of text) units += byte >= 0xf0 ? 2 : (byte & 0xc0) === 0x80 ? 0 : 1
  return units
}

class FrameWriter {
  readonly writer: ByteWriter

  constructor(room: number = FULL_BYTES) {
    this.writer = new ByteWriter(room)
  }

  get isOpen(): boolean {
    return this.writer.length > 0
  }

  open(kind: number): void {
    this.writer.u32(0)
    this.writer.u8(kind)
  }

  close(): Uint8Array {
    this.writer.patchU32(0, this.writer.length - FRAME_HEADER_BYTES)
    return this.writer.copy()
  }
}

/** Bytes of a session's reply: how far it is from the oldest, status, revision. */
const REPLY_BYTES = 11

function encodeSession(writer: ByteWriter, session: Session): void {
  writer.u53(session.id)
  writer.u53(session.touched)
  writer.u53(session.acknowledged)
  const count = writer.length
  writer.u32(0)
  let replies = 0
  session.forEach((sequence, outcome) => {
    writer.u16(sequence - session.acknowledged)
    writer.u8(outcome.status)
    writer.u53(outcome.revision)
    replies++
  })
  writer.patchU32(count, replies)
}

/** Reads a snapshot from chunks, however they are cut, into a sink. Throws `DATA_DAMAGED` when it is none. */
export class SnapshotReader {
  readonly #frames = new FrameReader(FRAME_LIMIT_BYTES)
  readonly #parser: SnapshotParser

  constructor(sink: SnapshotSink) {
    this.#parser = new SnapshotParser(sink)
  }

  push(chunk: Uint8Array): void {
    this.#frames.push(chunk, (frame) => this.#parser.frame(frame))
  }

  /** There is no more. */
  finish(): void {
    if (this.#frames.isMidFrame) throw malformed('the snapshot ends within a frame')
    this.#parser.finish()
  }
}

/** Takes a snapshot as a machine does, and keeps nothing: throws `DATA_DAMAGED` when it is none. What its tables say is not looked at. */
export function checkSnapshot(): Restoration {
  const nothing = (): void => {}
  const section = (_: number, content: ByteReader): void => void content.raw(content.remaining)
  return new SnapshotReader({
    header: nothing,
    session: nothing,
    expired: nothing,
    record: nothing,
    section,
    piece: nothing,
  })
}

class SnapshotParser {
  readonly #sink: SnapshotSink
  #kind = 0
  #hash = 0
  #header: SnapshotHeader = { revision: 0, time: 0, forgetful: false }
  #map: string | undefined
  #key: Span | undefined

  constructor(sink: SnapshotSink) {
    this.#sink = sink
  }

  frame(frame: Uint8Array): void {
    const reader = new ByteReader(frame)
    const kind = reader.u8()
    if (kind === FRAME.piece && this.#kind === FRAME.end) {
      this.#readPiece(reader)
      return
    }
    const isNext =
      this.#kind === 0 ? kind === FRAME.header : kind === FRAME.end || (kind > FRAME.header && kind >= this.#kind)
    if (!isNext || this.#kind === FRAME.end || kind === FRAME.piece)
      throw malformed(`a snapshot's frame of kind ${kind} is out of place`)
    this.#kind = kind
    if (kind === FRAME.header) this.#readHeader(reader)
    else if (kind === FRAME.sessions) while (reader.remaining > 0) this.#readSession(reader)
    else if (kind === FRAME.expired) while (reader.remaining > 0) this.#sink.expired(reader.u53(), this.#time(reader))
    else if (kind === FRAME.records) this.#readRecords(reader)
    else if (kind === FRAME.table) this.#sink.section(reader.u8(), reader)
    else if (kind !== FRAME.end) throw malformed(`a snapshot has no frames of kind ${kind}`)
    else if (reader.u32() !== this.#hash) throw malformed('the hash of the snapshot differs')
    if (reader.remaining > 0) throw malformed("a snapshot's frame is longer than its content")
    this.#hash = hashBytes(frame, this.#hash)
  }

  finish(): void {
    if (this.#kind !== FRAME.end) throw malformed('the snapshot ends too early')
  }

  #readHeader(reader: ByteReader): void {
    expectVersion('snapshots', reader.u8(), VERSION)
    this.#header = { revision: reader.u53(), time: reader.u53(), forgetful: reader.u8() === 1 }
    this.#sink.header(this.#header)
  }

  #readSession(reader: ByteReader): void {
    const id = reader.u53()
    const session = new Session(id, this.#time(reader), reader.u53())
    let last = -1
    for (let left = reader.u32(); left > 0; left--) {
      const distance = reader.u16()
      const status = reader.u8()
      if (distance <= last || distance >= SESSION_WINDOW || !isKept(status)) {
        throw malformed('no such reply')
      }
      last = distance
      session.settle(session.acknowledged + distance, { status, revision: reader.u53() })
    }
    this.#sink.session(session)
  }

  #readPiece(reader: ByteReader): void {
    const isThere = reader.u8() === 1
    const upload = reader.u53()
    const offset = reader.u53()
    const crc = reader.u32()
    const bytes = reader.raw(reader.remaining)
    if (!isThere) return
    if (crc32(bytes) !== crc) throw malformed('a piece of a payload differs')
    this.#sink.piece(upload, offset, bytes)
  }

  #readRecords(reader: ByteReader): void {
    const map = reader.text(KEY_LIMIT_BYTES)
    if (map !== this.#map) {
      if (this.#map !== undefined && compareKeys(this.#map, map) > 0) throw malformed('maps are out of order')
      this.#map = map
      this.#key = undefined
    }
    while (reader.remaining > 0) {
      const start = reader.skipText(KEY_LIMIT_BYTES)
      const key = { bytes: reader.bytes, start, end: reader.at }
      const revision = reader.u53()
      if (this.#key !== undefined && compareSpans(this.#key, key) >= 0) throw malformed('keys are out of order')
      if (revision === 0 || revision > this.#header.revision) throw malformed('a record is newer than its shard')
      this.#key = key
      this.#sink.record(map, key, revision, reader.blob(VALUE_LIMIT_BYTES))
    }
    // The next frame may lie where this one does.
    if (this.#key !== undefined) this.#key = spanOf(this.#key.bytes.slice(this.#key.start, this.#key.end))
  }

  #time(reader: ByteReader): LeaderMicros {
    const time = reader.u53()
    if (time > this.#header.time) throw malformed('a session is newer than its shard')
    return time
  }
}

/** A cancelled command is not settled by itself but by a `resolve`. */
function isKept(status: number): boolean {
  return isSettled(status) || status === STATUS.cancelled
}

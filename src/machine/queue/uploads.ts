/** An upload is a payload that came in pieces, from its first piece until the last message that refers to it is gone. */

import { type ByteReader, ByteWriter, malformed } from '../../base/bytes.ts'
import { Heap, type HeapEntry } from '../../base/heap.ts'
import { PAYLOAD_LIMIT_BYTES, VALUE_LIMIT_BYTES } from '../../base/limit.ts'
import type { LeaderMicros } from '../batch.ts'
import type { Piece, PieceStore } from '../pieces.ts'

/** How long an upload may go without a message that refers to it, after its last piece or the last try to send one. */
export const UPLOAD_KEEP: LeaderMicros = 600_000_000
/** Most uploads that no message refers to yet, and most pieces of an upload. */
const OPEN_LIMIT = 1024
const PIECES_LIMIT = 65_536
/** A section is closed when the next record might bring it above 60,000 bytes. */
const FULL_BYTES = 59_000

/** Invariant: an upload is among the deadlines exactly while no message refers to it. */
class Upload {
  /** By their offsets. */
  readonly pieces: Map<number, Piece> = new Map()
  /** Messages that refer to it. */
  messages = 0
  deadline: HeapEntry<number> | undefined
}

export class Uploads {
  readonly #store: PieceStore
  /** In the order in which they came. */
  readonly #uploads: Map<number, Upload> = new Map()
  readonly #deadlines: Heap<number> = new Heap()

  constructor(store: PieceStore) {
    this.#store = store
  }

  get dueAt(): LeaderMicros {
    return this.#deadlines.lowest
  }

  get ids(): ReadonlySet<number> {
    return new Set(this.#uploads.keys())
  }

  /** Keeps a piece; one that is there stays as it is. False when there is no room. */
  add(id: number, offset: number, bytes: Uint8Array, time: LeaderMicros): boolean {
    const known = this.#uploads.get(id)
    if (known === undefined && this.#deadlines.size >= OPEN_LIMIT) return false
    const upload = known ?? new Upload()
    if (upload.pieces.has(offset)) return true
    if (upload.pieces.size >= PIECES_LIMIT || upload.messages > 0) return false
    const crc = this.#store.put(id, offset, bytes)
    upload.pieces.set(offset, { upload: id, offset, length: bytes.length, crc })
    this.#uploads.set(id, upload)
    this.#expire(id, upload, time + UPLOAD_KEEP)
    return true
  }

  /** Whether all its pieces are there, so that it is so many bytes. */
  isWhole(id: number, bytes: number): boolean {
    const pieces = this.#uploads.get(id)?.pieces
    let at = 0
    for (let piece = pieces?.get(0); piece !== undefined; piece = pieces?.get(at)) at += piece.length
    return pieces !== undefined && at === bytes
  }

  /** Its message had no room and will be sent again. */
  renew(id: number, time: LeaderMicros): void {
    const deadline = this.#uploads.get(id)?.deadline
    if (deadline !== undefined) this.#deadlines.update(deadline, time + UPLOAD_KEEP)
  }

  /** One message more refers to it. */
  take(id: number): void {
    const upload = this.#uploads.get(id)
    if (upload === undefined) throw malformed('a message refers to a payload that is not there')
    if (upload.deadline !== undefined) this.#deadlines.remove(upload.deadline)
    upload.deadline = undefined
    upload.messages++
  }

  /** A message that referred to it is gone: with the last one goes the payload. */
  release(id: number): void {
    const upload = this.#uploads.get(id)
    if (upload === undefined) return
    upload.messages--
    if (upload.messages <= 0) this.#delete(id, upload)
  }

  /** Nothing will refer to it, unless something does already. */
  discard(id: number): void {
    const upload = this.#uploads.get(id)
    if (upload !== undefined && upload.messages === 0) this.#delete(id, upload)
  }

  advance(time: LeaderMicros): void {
    while (this.#deadlines.lowest <= time) {
      const id = this.#deadlines.peek()
      const upload = id === undefined ? undefined : this.#uploads.get(id)
      if (id === undefined || upload === undefined) return
      this.#delete(id, upload)
    }
  }

  /** The piece that begins at this offset. */
  find(id: number, offset: number): Piece | undefined {
    return this.#uploads.get(id)?.pieces.get(offset)
  }

  read(piece: Piece): Uint8Array | undefined {
    return this.#store.get(piece)
  }

  *pieces(): Iterable<Piece> {
    for (const { pieces } of this.#uploads.values()) yield* pieces.values()
  }

  /**
   * The uploads as they are now, in sections:
   * `[id u53, until u53 (0: a message refers to it), count u32, (offset u53, length u32, crc u32) …]`.
   */
  freeze(open: (writer: ByteWriter) => void): readonly Uint8Array[] {
    const writer = new ByteWriter(1024)
    const sections: Uint8Array[] = []
    for (const [id, upload] of this.#uploads) {
      const pieces = [...upload.pieces.values()]
      for (let from = 0; from < pieces.length; from += PIECES_IN_RECORD) {
        const some = pieces.slice(from, from + PIECES_IN_RECORD)
        if (writer.length > 0 && writer.length + 20 + some.length * PIECE_BYTES > FULL_BYTES) {
          sections.push(writer.copy())
        }
        if (writer.length === 0) open(writer)
        writer.u53(id)
        writer.u53(upload.deadline?.priority ?? 0)
        writer.u32(some.length)
        for (const { offset, length, crc } of some) {
          writer.u53(offset)
          writer.u32(length)
          writer.u32(crc)
        }
      }
    }
    if (writer.length > 0) sections.push(writer.copy())
    return sections
  }

  /** Reads the rest of a section. What messages refer to they take when they are loaded. */
  load(reader: ByteReader): void {
    while (reader.remaining > 0) {
      const id = reader.u53()
      const until = reader.u53()
      const upload = this.#uploads.get(id) ?? new Upload()
      this.#uploads.set(id, upload)
      for (let left = reader.u32(); left > 0; left--) {
        const offset = reader.u53()
        const piece = { upload: id, offset, length: reader.u32(), crc: reader.u32() }
        if (!isPlace(offset, piece.length)) throw malformed('no such piece of a payload')
        upload.pieces.set(offset, piece)
      }
      if (until > 0) this.#expire(id, upload, until)
    }
  }

  #expire(id: number, upload: Upload, at: LeaderMicros): void {
    if (upload.deadline === undefined) upload.deadline = this.#deadlines.add(id, at)
    else this.#deadlines.update(upload.deadline, at)
  }

  #delete(id: number, upload: Upload): void {
    if (upload.deadline !== undefined) this.#deadlines.remove(upload.deadline)
    this.#uploads.delete(id)
    this.#store.delete(id)
  }
}

const PIECES_IN_RECORD = 1000
/** `[offset u53, length u32, crc u32]` */
const PIECE_BYTES = 16

/** Whether a piece can stand there. */
export function isPlace(offset: number, length: number): boolean {
  return length > 0 && length <= VALUE_LIMIT_BYTES && offset + length <= PAYLOAD_LIMIT_BYTES
}

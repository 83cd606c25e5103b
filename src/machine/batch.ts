/** A batch is what one log entry carries: the commands of one turn with the leader's time. */

import { ByteReader, ByteWriter } from '../base/bytes.ts'
import { FIRST_LEVEL, type Level } from './level.ts'

/** Microseconds since 1970 (UTC) on the clock of the leader that proposed the batch; 0 when it gave none. */
export type LeaderMicros = number

/** `[level u8, time u53, count u32]`, then for each command `[length u32, bytes]`. */
const HEADER_BYTES = 13
const ROOM = 4096

/** Collects commands verbatim: the engine carries them without knowing what they say. */
export class BatchWriter {
  readonly #writer: ByteWriter = new ByteWriter(ROOM)
  #count = 0

  constructor() {
    this.#reserveHeader()
  }

  get count(): number {
    return this.#count
  }

  /** Length of the entry so far, in bytes. */
  get size(): number {
    return this.#writer.length
  }

  /** Copies a command into the batch; its position among the others identifies its reply. */
  add(command: Uint8Array): number {
    this.#writer.blob(command)
    return this.#count++
  }

  /** The entry, in a buffer of its own, for machines of this level; the writer is ready for the next batch. */
  finish(time: LeaderMicros, level: Level = FIRST_LEVEL): Uint8Array {
    const entry = this.#writer.copy()
    const header = new DataView(entry.buffer, entry.byteOffset, HEADER_BYTES)
    header.setUint8(0, level)
    header.setUint32(1, time >>> 0, true)
    header.setUint32(5, Math.floor(time / 2 ** 32), true)
    header.setUint32(9, this.#count, true)
    this.#reserveHeader()
    return entry
  }

  #reserveHeader(): void {
    this.#count = 0
    this.#writer.u8(0)
    this.#writer.u53(0)
    this.#writer.u32(0)
  }
}

/**
 * Walks the commands of an entry, whatever its bytes: `next` puts `reader` at the start of a command and `end` at its
 * end. When `next` returns false before `position` has reached `count`, the rest of the entry is not what it claims to
 * be.
 */
export class BatchReader {
  readonly reader: ByteReader
  readonly time: LeaderMicros
  /** How many commands the entry claims: never more than its bytes could hold. */
  readonly count: number
  /** What a machine must know to execute it; 0 for what is no entry. */
  readonly level: Level
  /** Of the present command; -1 before the first. */
  position = -1
  end: number = HEADER_BYTES

  constructor(entry: Uint8Array) {
    this.reader = new ByteReader(entry)
    const whole = entry.length >= HEADER_BYTES
    this.level = whole ? this.reader.u8() : 0
    const low = whole ? this.reader.u32() : 0
    const high = whole ? this.reader.u32() : 0
    this.time = Math.min(high * 2 ** 32 + low, Number.MAX_SAFE_INTEGER)
    const claimed = whole ? this.reader.u32() : 0
    this.count = claimed * 4 <= entry.length - HEADER_BYTES ? claimed : 0
  }

  next(): boolean {
    if (this.position + 1 >= this.count) return false
    const { reader } = this
    if (reader.end - this.end < 4) return false
    reader.at = this.end
    const length = reader.u32()
    if (length > reader.remaining) return false
    this.end = reader.at + length
    this.position++
    return true
  }
}

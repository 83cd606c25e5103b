/** Bytes are written by a growing writer and read by a bounded reader; all numbers are little-endian. */

import { TroupeError } from './error.ts'

const ENCODER = new TextEncoder()
const DECODER = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const HIGH = 2 ** 32
/** Below this length a loop over characters beats the platform's encoder and decoder. */
const SHORT_TEXT = 48

/** Thrown by {@link ByteReader} when the bytes cannot be what they claim to be; never leaves the decoder's caller. */
export function malformed(what: string): TroupeError {
  return new TroupeError('DATA_DAMAGED', `malformed bytes: ${what}`)
}

/** Appends numbers, text and bytes to one growing buffer, which `take` hands over. */
export class ByteWriter {
  bytes: Uint8Array
  length = 0
  #view: DataView

  constructor(capacity = 256) {
    this.bytes = new Uint8Array(capacity)
    this.#view = new DataView(this.bytes.buffer)
  }

  u8(value: number): void {
    if (this.length + 1 > this.bytes.length) this.#grow(1)
    this.bytes[this.length++] = value
  }

  u16(value: number): void {
    if (this.length + 2 > this.bytes.length) this.#grow(2)
    this.#view.setUint16(this.length, value, true)
    this.length += 2
  }

  u32(value: number): void {
    if (this.length + 4 > this.bytes.length) this.#grow(4)
    this.#view.setUint32(this.length, value, true)
    this.length += 4
  }

  /** A non-negative safe integer in eight bytes. */
  u53(value: number): void {
    if (this.length + 8 > this.bytes.length) this.#grow(8)
    this.#view.setUint32(this.length, value >>> 0, true)
    this.#view.setUint32(this.length + 4, Math.floor(value / HIGH), true)
    this.length += 8
  }

  f64(value: number): void {
    if (this.length + 8 > this.bytes.length) this.#grow(8)
    this.#view.setFloat64(this.length, value, true)
    this.length += 8
  }

  /** Bytes without a length; the reader must know it. */
  raw(bytes: Uint8Array): void {
    if (this.length + bytes.length > this.bytes.length) this.#grow(bytes.length)
    this.bytes.set(bytes, this.length)
    this.length += bytes.length
  }

  /** A 32-bit length and the bytes. */
  blob(bytes: Uint8Array): void {
    this.u32(bytes.length)
    this.raw(bytes)
  }

  /** A 32-bit length in bytes and the text as UTF-8. */
  text(text: string): void {
    const start = this.length
    this.u32(0)
    const most = text.length * 3
    if (this.length + most > this.bytes.length) this.#grow(most)
    if (text.length > SHORT_TEXT || !this.#ascii(text)) {
      this.length = start + 4 + ENCODER.encodeInto(text, this.bytes.subarray(start + 4)).written
    }
    this.#view.setUint32(start, this.length - start - 4, true)
  }

  /** Overwrites a 32-bit number written earlier, such as a length that was not known yet. */
  patchU32(at: number, value: number): void {
    this.#view.setUint32(at, value, true)
  }

  /** A copy of what was written; the writer is empty afterwards and keeps its buffer. */
  copy(): Uint8Array {
    const copied = this.bytes.slice(0, this.length)
    this.length = 0
    return copied
  }

  /** What was written, without copying; the writer is empty afterwards and starts a new buffer. */
  take(capacity = 256): Uint8Array {
    const taken = this.bytes.subarray(0, this.length)
    this.bytes = new Uint8Array(capacity)
    this.#view = new DataView(this.bytes.buffer)
    this.length = 0
    return taken
  }

  #ascii(text: string): boolean {
    let at = this.length
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index)
      if (code > 127) return false
      this.bytes[at++] = code
    }
    this.length = at
    return true
  }

  #grow(more: number): void {
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.length + more))
    grown.set(this.bytes.subarray(0, this.length))
    this.bytes = grown
    this.#view = new DataView(grown.buffer)
  }
}

/** Reads what {@link ByteWriter} wrote; anything that does not fit throws {@link malformed}, before any allocation. */
export class ByteReader {
  readonly bytes: Uint8Array
  at: number
  readonly end: number

  /** Makes nothing else: a view for its numbers would cost more than reading them byte by byte. */
  constructor(bytes: Uint8Array, from = 0, end: number = bytes.length) {
    this.bytes = bytes
    this.at = from
    this.end = end
  }

  get remaining(): number {
    return this.end - this.at
  }

  u8(): number {
    return this.bytes[this.#advance(1)] ?? 0
  }

  u16(): number {
    const at = this.#advance(2)
    return (this.bytes[at] ?? 0) | ((this.bytes[at + 1] ?? 0) << 8)
  }

  u32(): number {
    return wordAt(this.bytes, this.#advance(4)) >>> 0
  }

  u53(): number {
    const at = this.#advance(8)
    const high = wordAt(this.bytes, at + 4) >>> 0
    if (high > 0x1fffff) throw malformed('an integer is beyond 2^53')
    return high * HIGH + (wordAt(this.bytes, at) >>> 0)
  }

  f64(): number {
    const at = this.#advance(8)
    return new DataView(this.bytes.buffer, this.bytes.byteOffset + at, 8).getFloat64(0, true)
  }

  /** A view of the next `length` bytes, not a copy: what is kept must be copied, or it pins the whole buffer. */
  raw(length: number): Uint8Array {
    const at = this.#advance(length)
    return this.bytes.subarray(at, at + length)
  }

  blob(limit: number = this.remaining): Uint8Array {
    const length = this.u32()
    if (length > limit) throw malformed(`a blob of ${length} bytes is over its limit of ${limit}`)
    return this.raw(length)
  }

  text(limit: number = this.remaining): string {
    const length = this.u32()
    if (length > limit) throw malformed(`a text of ${length} bytes is over its limit of ${limit}`)
    const from = this.#advance(length)
    return length > SHORT_TEXT ? decode(this.bytes.subarray(from, this.at)) : this.#short(from, this.at)
  }

  /** Passes over what `text` would read, with the same errors. Returns where it begins; it ends at `at`. */
  skipText(limit: number = this.remaining): number {
    const length = this.u32()
    if (length > limit) throw malformed(`a text of ${length} bytes is over its limit of ${limit}`)
    const from = this.#advance(length)
    for (let at = from; at < this.at; at++) {
      if ((this.bytes[at] ?? 0) <= 127) continue
      decode(this.bytes.subarray(at, this.at))
      break
    }
    return from
  }

  /** Passes over what `blob` would read, with the same errors. Returns where it begins; it ends at `at`. */
  skipBlob(limit: number = this.remaining): number {
    const length = this.u32()
    if (length > limit) throw malformed(`a blob of ${length} bytes is over its limit of ${limit}`)
    return this.#advance(length)
  }

  /** Eight characters at a time: strings built one by one are trees, which a map has to flatten first. */
  #short(from: number, end: number): string {
    const { bytes } = this
    let text = ''
    let at = from
    for (; at + 8 <= end; at += 8) {
      const a = bytes[at] ?? 0
      const b = bytes[at + 1] ?? 0
      const c = bytes[at + 2] ?? 0
      const d = bytes[at + 3] ?? 0
      const e = bytes[at + 4] ?? 0
      const f = bytes[at + 5] ?? 0
      const g = bytes[at + 6] ?? 0
      const h = bytes[at + 7] ?? 0
      if ((a | b | c | d | e | f | g | h) > 127) return decode(bytes.subarray(from, end))
      text += String.fromCharCode(a, b, c, d, e, f, g, h)
    }
    for (; at < end; at++) {
      const code = bytes[at] ?? 0
      if (code > 127) return decode(bytes.subarray(from, end))
      text += String.fromCharCode(code)
    }
    return text
  }

  #advance(length: number): number {
    const at = this.at
    if (length > this.end - at) throw malformed('it ends too early')
    this.at = at + length
    return at
  }
}

/** Its four bytes as they stand; negative when the highest bit is set. */
function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)
}

function decode(bytes: Uint8Array): string {
  try {
    return DECODER.decode(bytes)
  } catch {
    throw malformed('a text is not UTF-8')
  }
}

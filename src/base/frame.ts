/** A frame is a 32-bit length and that many bytes, so that messages can be told apart in a stream. */

import { malformed } from './bytes.ts'

export const FRAME_HEADER_BYTES = 4
/** Frames beyond this are refused unless another limit is given. */
const FRAME_LIMIT_BYTES: number = 4 * 1024 * 1024

/** Writes the header of a frame of `length` bytes to the start of `bytes`. */
export function writeFrameHeader(bytes: Uint8Array, length: number): void {
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, length, true)
}

/** One frame with its header, in a buffer of its own. */
export function encodeFrame(body: Uint8Array): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADER_BYTES + body.length)
  writeFrameHeader(frame, body.length)
  frame.set(body, FRAME_HEADER_BYTES)
  return frame
}

/**
 * Cuts a stream of chunks, however they were split, into its frames. A frame that lies within one chunk is a view of
 * it; only one that spans chunks is joined, in a buffer of exactly its size.
 */
export class FrameReader {
  readonly #limit: number
  readonly #header: Uint8Array = new Uint8Array(FRAME_HEADER_BYTES)
  readonly #view: DataView = new DataView(this.#header.buffer)
  #headerFilled = 0
  /** The frame that is being joined. */
  #body: Uint8Array | undefined
  #bodyFilled = 0
  /** A frame was a view of the chunk that is being read. */
  #isViewed = false

  /** @param limit most bytes of a frame; a longer one throws `DATA_DAMAGED` before anything is allocated for it */
  constructor(limit: number = FRAME_LIMIT_BYTES) {
    this.#limit = limit
  }

  /** Whether the stream has ended within a frame, so far. */
  get isMidFrame(): boolean {
    return this.#headerFilled > 0
  }

  /**
   * Calls `receive` for each frame that ends in this chunk. Returns whether one of them was a view of it; else all of it was copied.
   * After an error the stream is lost.
   */
  push(chunk: Uint8Array, receive: (frame: Uint8Array) => void): boolean {
    this.#isViewed = false
    let at = 0
    while (at < chunk.length) {
      at = this.#headerFilled < FRAME_HEADER_BYTES ? this.#readHeader(chunk, at) : at
      if (this.#headerFilled === FRAME_HEADER_BYTES) at = this.#readBody(chunk, at, receive)
    }
    return this.#isViewed
  }

  #readHeader(chunk: Uint8Array, from: number): number {
    let at = from
    while (this.#headerFilled < FRAME_HEADER_BYTES && at < chunk.length) {
      this.#header[this.#headerFilled++] = chunk[at++] ?? 0
    }
    return at
  }

  #readBody(chunk: Uint8Array, from: number, receive: (frame: Uint8Array) => void): number {
    const length = this.#length()
    if (length > this.#limit) throw malformed(`a frame of ${length} bytes is over its limit of ${this.#limit}`)
    const missing = length - this.#bodyFilled
    const here = Math.min(missing, chunk.length - from)
    if (this.#body === undefined && here === missing) {
      this.#headerFilled = 0
      this.#isViewed = true
      receive(chunk.subarray(from, from + here))
      return from + here
    }
    if (here === 0) return from
    this.#body ??= new Uint8Array(length)
    this.#body.set(chunk.subarray(from, from + here), this.#bodyFilled)
    this.#bodyFilled += here
    if (here === missing) this.#finish(receive)
    return from + here
  }

  #finish(receive: (frame: Uint8Array) => void): void {
    const body = this.#body ?? new Uint8Array(0)
    this.#body = undefined
    this.#bodyFilled = 0
    this.#headerFilled = 0
    receive(body)
  }

  #length(): number {
    return this.#view.getUint32(0, true)
  }
}

/** A payload slab is a buffer that is filled with payloads one after the other, and filled anew when all of them are gone. */

import { assert } from '../../base/assert.ts'

export class PayloadSlab {
  readonly #bytes: Uint8Array
  #used = 0
  #payloads = 0

  constructor(size: number) {
    // Not `lastingBytes`: a slab is used for as long as its log, and common memory is copied several times as fast.
    this.#bytes = new Uint8Array(size)
  }

  get size(): number {
    return this.#bytes.length
  }

  /** Bytes that are still free. */
  get room(): number {
    return this.#bytes.length - this.#used
  }

  /** Whether no payload is needed any more. */
  get isEmpty(): boolean {
    return this.#payloads === 0
  }

  /** Copies a payload, which must find room; returns where it stands. */
  put(payload: Uint8Array): number {
    const start = this.#used
    this.#bytes.set(payload, start)
    this.#used += payload.length
    this.#payloads++
    return start
  }

  /** A view, good for as long as the payload is needed. */
  view(start: number, length: number): Uint8Array {
    return this.#bytes.subarray(start, start + length)
  }

  /** One payload is not needed any more. */
  drop(): void {
    assert(this.#payloads > 0, 'what is dropped is there')
    this.#payloads--
  }

  /** Begins anew. */
  clear(): void {
    assert(this.isEmpty, 'a slab is filled anew when nothing in it is needed')
    this.#used = 0
  }
}

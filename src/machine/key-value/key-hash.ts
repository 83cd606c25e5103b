/** A key hash says where a key stands in a table, by a secret without which nobody can choose keys that stand in one place. */

import type { Span } from '../../base/span.ts'

/** 64 random bits. */
export interface HashSecret {
  readonly low: number
  readonly high: number
}

/** The rounds after the last word. */
const LAST_ROUNDS = 3

/**
 * HalfSipHash-1-3 (Aumasson and Bernstein 2012, with words of 32 bits). A seed alone would not do: whoever knows how
 * MurmurHash mixes makes keys that collide under every seed. A node's secret is its own, so nothing that replicas agree
 * on depends on it.
 */
export class KeyHash {
  readonly #low: number
  readonly #high: number

  constructor({ low, high }: HashSecret) {
    this.#low = low
    this.#high = high
  }

  of({ bytes, start, end }: Span): number {
    let v0 = this.#low
    let v1 = this.#high
    let v2 = this.#low ^ 0x6c796765
    let v3 = this.#high ^ 0x74656462
    const words = (end - start) >> 2
    for (let round = 0; round <= words + LAST_ROUNDS; round++) {
      let word = 0
      if (round < words) word = wordAt(bytes, start + 4 * round)
      else if (round === words) word = lastWord(bytes, start, end)
      else if (round === words + 1) v2 ^= 0xff
      v3 ^= word
      v0 = (v0 + v1) | 0
      v1 = rotate(v1, 5) ^ v0
      v0 = rotate(v0, 16)
      v2 = (v2 + v3) | 0
      v3 = rotate(v3, 8) ^ v2
      v0 = (v0 + v3) | 0
      v3 = rotate(v3, 7) ^ v0
      v2 = (v2 + v1) | 0
      v1 = rotate(v1, 13) ^ v2
      v2 = rotate(v2, 16)
      v0 ^= word
    }
    return (v1 ^ v3) >>> 0
  }
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by))
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (
    byteAt(bytes, at) | (byteAt(bytes, at + 1) << 8) | (byteAt(bytes, at + 2) << 16) | (byteAt(bytes, at + 3) << 24)
  )
}

/** What is left, and above it the length. */
function lastWord(bytes: Uint8Array, start: number, end: number): number {
  let word = 0
  for (let at = end - 1; at >= end - ((end - start) & 3); at--) word = (word << 8) | byteAt(bytes, at)
  return word | ((end - start) << 24)
}

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0
}

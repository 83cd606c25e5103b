/** A key table finds the record of a key by the key's hash. */

import { required } from '../../base/assert.ts'
import { lastingBytes } from '../../base/lasting.ts'
import type { Key } from './key.ts'
import { NONE, type RecordNumber } from './record-store.ts'

const FEWEST_SLOTS = 8
/** A segment of this many slots is split rather than enlarged: a few tens of microseconds are the longest stop. */
const MOST_SLOTS = 2048
/** Hashes that agree in so many bits are not split further. */
const DEEPEST = 20

/**
 * Extendible hashing (Fagin et al. 1979): the first bits of a hash choose a segment, its last bits a slot in it, where
 * linear probing begins. A full segment becomes two, and the directory doubles when these need one bit more than it
 * has: so the table grows without ever being copied as a whole.
 *
 * Invariant: the directory has `2 ** #depth` places, and a segment of depth d stands in `2 ** (#depth - d)` of them.
 */
export class KeyTable {
  readonly #isOf: (record: RecordNumber, key: Key) => boolean
  #directory: Segment[] = [new Segment(FEWEST_SLOTS, 0)]
  #depth = 0

  /** @param isOf whether the record is that of the key; asked when their hashes are equal */
  constructor(isOf: (record: RecordNumber, key: Key) => boolean) {
    this.#isOf = isOf
  }

  find(key: Key): RecordNumber {
    const { hash } = key
    const { slots, mask } = this.#segment(hash)
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const record = (slots[2 * slot + 1] ?? 0) - 1
      if (record === NONE) return NONE
      if (slots[2 * slot] === hash && this.#isOf(record, key)) return record
    }
  }

  /** The record's key must not be there yet. */
  add(hash: number, record: RecordNumber): void {
    let segment = this.#segment(hash)
    while (segment.isFull) {
      if (segment.size < MOST_SLOTS || segment.depth >= DEEPEST) this.#replace(segment, segment.enlarged())
      else this.#split(segment)
      segment = this.#segment(hash)
    }
    segment.add(hash, record)
  }

  /** The record must be there. */
  remove(hash: number, record: RecordNumber): void {
    this.#segment(hash).remove(hash, record)
  }

  #segment(hash: number): Segment {
    return required(this.#directory[placeOf(hash, this.#depth)], 'a segment for each hash')
  }

  #replace(segment: Segment, larger: Segment): void {
    const at = this.#directory.indexOf(segment)
    this.#directory.fill(larger, at, at + 2 ** (this.#depth - segment.depth))
  }

  #split(segment: Segment): void {
    if (segment.depth === this.#depth) {
      this.#directory = this.#directory.flatMap((each) => [each, each])
      this.#depth++
    }
    const at = this.#directory.indexOf(segment)
    const half = 2 ** (this.#depth - segment.depth - 1)
    const [low, high] = segment.halves()
    this.#directory.fill(low, at, at + half)
    this.#directory.fill(high, at + half, at + 2 * half)
  }
}

/** The first `depth` bits of a hash. */
function placeOf(hash: number, depth: number): number {
  return depth === 0 ? 0 : hash >>> (32 - depth)
}

/**
 * An open table, at most three quarters full: for each slot a hash and a record's number plus 1, 0 in a free one.
 *
 * Invariant: there is no free slot between a hash's own slot and that in which it stands.
 */
class Segment {
  /** How many first bits all hashes here have in common. */
  readonly depth: number
  readonly slots: Uint32Array
  readonly mask: number
  #count = 0

  constructor(size: number, depth: number) {
    this.depth = depth
    this.slots = new Uint32Array(lastingBytes(2 * size * Uint32Array.BYTES_PER_ELEMENT).buffer)
    this.mask = size - 1
  }

  get size(): number {
    return this.mask + 1
  }

  get isFull(): boolean {
    return 4 * (this.#count + 1) > 3 * this.size
  }

  add(hash: number, record: RecordNumber): void {
    const { slots, mask } = this
    let slot = hash & mask
    while (slots[2 * slot + 1] !== 0) slot = (slot + 1) & mask
    slots[2 * slot] = hash
    slots[2 * slot + 1] = record + 1
    this.#count++
  }

  /** Whatever stands behind moves up where it may, as if the record had never been here (Knuth 6.4, algorithm R). */
  remove(hash: number, record: RecordNumber): void {
    const { slots, mask } = this
    let free = hash & mask
    while (slots[2 * free + 1] !== record + 1) free = (free + 1) & mask
    for (let slot = (free + 1) & mask; slots[2 * slot + 1] !== 0; slot = (slot + 1) & mask) {
      const distance = (slot - (slots[2 * slot] ?? 0)) & mask
      if (distance < ((slot - free) & mask)) continue
      slots.copyWithin(2 * free, 2 * slot, 2 * slot + 2)
      free = slot
    }
    slots[2 * free + 1] = 0
    this.#count--
  }

  enlarged(): Segment {
    const larger = new Segment(2 * this.size, this.depth)
    this.#forEach((hash, record) => larger.add(hash, record))
    return larger
  }

  /** Apart by the first bit after those in common. */
  halves(): readonly [Segment, Segment] {
    const low = new Segment(this.size, this.depth + 1)
    const high = new Segment(this.size, this.depth + 1)
    this.#forEach((hash, record) => ((placeOf(hash, low.depth) & 1) === 0 ? low : high).add(hash, record))
    return [low, high]
  }

  #forEach(visit: (hash: number, record: RecordNumber) => void): void {
    for (let at = 0; at < this.slots.length; at += 2) {
      const record = (this.slots[at + 1] ?? 0) - 1
      if (record !== NONE) visit(this.slots[at] ?? 0, record)
    }
  }
}

/** A key index keeps records in the order of their keys' bytes. */

import { required } from '../../base/assert.ts'
import { commonLength, compareSpans, type Span, spanOf } from '../../base/span.ts'
import { NONE, type RecordNumber } from './record-store.ts'

/** A leaf that grows beyond this is split. */
const LEAF_RECORDS = 128
/** Marks are taken anew once they would tell so many bytes more. */
const STALE_BYTES = 2
/** Records that may wait for their place: a few hundred microseconds are the longest stop. */
const MOST_ARRIVALS = 1024

/** Where a record's key is: a span that is good until the next call. */
export type KeyOf = (record: RecordNumber) => Span

/** A place between two records; good until the index's `version` changes. */
export interface IndexPosition {
  leaf: number
  slot: number
}

/**
 * Sorted leaves below one sorted root: two binary searches find a key, and only one short array moves for a change.
 *
 * Beside each record stands a mark: the bytes of its key behind those that all keys of its leaf have in common anyway
 * (prefix truncation, Bayer and Unterauer 1977). Numbers that lie together are compared; keys, which are all over the
 * memory, are looked at only when marks are equal.
 *
 * A record that comes waits, until an order is asked for or many wait. They take their places one beside the other,
 * which costs half of what it would each by itself, in leaves that nobody had touched for long.
 *
 * Invariant: the keys of a leaf are at or above its `low`, and below that of the next; the first one's `low` is empty.
 */
export class KeyIndex {
  readonly #keyOf: KeyOf
  readonly #leaves: Leaf[] = [new Leaf(new Uint8Array(0))]
  readonly #root: RootMarks = new RootMarks()
  /** Records that have no place yet. */
  readonly #arrivals: RecordNumber[] = []
  #size = 0
  #version = 0

  constructor(keyOf: KeyOf) {
    this.#keyOf = keyOf
  }

  get size(): number {
    return this.#size
  }

  /** Changes whenever a record takes its place or goes. */
  get version(): number {
    return this.#version
  }

  /** The record's key must not be there yet. It is looked at now or later. */
  insert(record: RecordNumber): void {
    this.#size++
    if (this.#arrivals.push(record) === MOST_ARRIVALS) this.#settle()
  }

  /** The record must be there, and have this key. */
  remove(record: RecordNumber, key: Span): void {
    this.#size--
    if (this.#hasForgone(record)) return
    const at = this.#leafOf(key)
    const leaf = this.#leaf(at)
    leaf.remove(this.#slotOf(leaf, key))
    this.#version++
    if (leaf.count === 0 && this.#leaves.length > 1) this.#removeLeaf(at)
  }

  /** Where the first record is whose key is not below `key`. */
  seek(key: Span): IndexPosition {
    this.#settle()
    const leaf = this.#leafOf(key)
    return { leaf, slot: this.#slotOf(this.#leaf(leaf), key) }
  }

  /** Behind the last record. */
  end(): IndexPosition {
    this.#settle()
    const leaf = this.#leaves.length - 1
    return { leaf, slot: this.#leaf(leaf).count }
  }

  /** The record at the position, which moves behind it; {@link NONE} at the end. */
  next(position: IndexPosition): RecordNumber {
    if (position.slot >= this.#leaf(position.leaf).count) {
      if (position.leaf + 1 >= this.#leaves.length) return NONE
      position.leaf++
      position.slot = 0
    }
    return this.#leaf(position.leaf).record(position.slot++)
  }

  /** The record before the position, which moves to it; {@link NONE} at the beginning. */
  previous(position: IndexPosition): RecordNumber {
    if (position.slot === 0) {
      if (position.leaf === 0) return NONE
      position.leaf--
      position.slot = this.#leaf(position.leaf).count
    }
    return this.#leaf(position.leaf).record(--position.slot)
  }

  /** Every record takes its place. */
  #settle(): void {
    const arrivals = this.#arrivals
    if (arrivals.length === 0) return
    for (const rank of this.#ranksOf(arrivals)) {
      const record = arrivals[rank - Math.floor(rank / MOST_ARRIVALS) * MOST_ARRIVALS] ?? NONE
      this.#place(record, { ...this.#keyOf(record) })
    }
    arrivals.length = 0
  }

  /** Numbers that stand roughly in the order of the keys, and end in the places of their records among the arrivals. */
  #ranksOf(arrivals: readonly RecordNumber[]): Float64Array {
    const ranks = new Float64Array(arrivals.length)
    const prefix = this.#copyOf(arrivals[0] ?? NONE)
    for (const record of arrivals) prefix.end = commonLength(prefix, this.#keyOf(record))
    for (const [at, record] of arrivals.entries()) {
      ranks[at] = wordOf(this.#keyOf(record), prefix.end) * MOST_ARRIVALS + at
    }
    return ranks.sort()
  }

  /** Whether the record, which goes, had no place yet. */
  #hasForgone(record: RecordNumber): boolean {
    const arrivals = this.#arrivals
    const at = arrivals.lastIndexOf(record)
    if (at < 0) return false
    arrivals[at] = arrivals[arrivals.length - 1] ?? NONE
    arrivals.pop()
    return true
  }

  #place(record: RecordNumber, key: Span): void {
    const at = this.#leafOf(key)
    let leaf = this.#leaf(at)
    let slot = at === this.#leaves.length - 1 && this.#isBehind(leaf, key) ? leaf.count : this.#slotOf(leaf, key)
    if (leaf.count === LEAF_RECORDS) {
      this.#split(at, slot, key)
      const right = this.#leaf(at + 1)
      if (compareSpans(spanOf(right.low), key) <= 0) {
        slot -= leaf.count
        leaf = right
      }
    }
    leaf.insert(slot, record, markOf(key, leaf.skip))
    this.#version++
  }

  #leaf(at: number): Leaf {
    return required(this.#leaves[at], 'a leaf')
  }

  /** The last leaf whose `low` is not above `key`. */
  #leafOf(key: Span): number {
    const leaves = this.#leaves
    return leaves.length === 1 ? 0 : this.#root.search(key, leaves)
  }

  /** The first slot whose key is not below `key`. */
  #slotOf(leaf: Leaf, key: Span): number {
    const { marks } = leaf
    const mark = markOf(key, leaf.skip)
    let low = 0
    let high = leaf.count
    while (low < high) {
      const middle = (low + high) >>> 1
      const other = marks[middle] ?? 0
      const isBelow = other === mark ? compareSpans(this.#keyOf(leaf.record(middle)), key) < 0 : other < mark
      if (isBelow) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Whether the key is above all of the last leaf: keys that come in ascending order need not be searched for. */
  #isBehind(leaf: Leaf, key: Span): boolean {
    return leaf.count > 0 && compareSpans(this.#keyOf(leaf.record(leaf.count - 1)), key) < 0
  }

  /** Makes room in a full leaf, in which `key` is to stand at `slot`. */
  #split(at: number, slot: number, key: Span): void {
    const left = this.#leaf(at)
    // Keys that come in ascending order leave full leaves behind them, not half-full ones.
    const isLast = at === this.#leaves.length - 1 && slot === left.count
    const middle = isLast ? left.count : LEAF_RECORDS / 2
    const before = this.#copyOf(left.record(middle - 1))
    const first = isLast ? key : this.#keyOf(left.record(middle))
    const low = first.bytes.slice(first.start, first.start + commonLength(before, first) + 1)
    const right = new Leaf(low)
    right.skip = left.skip
    right.take(left, middle)
    this.#leaves.splice(at + 1, 0, right)
    this.#root.insert(at + 1, this.#leaves)
    this.#refit(at)
    this.#refit(at + 1)
  }

  #removeLeaf(at: number): void {
    this.#leaves.splice(at, 1)
    if (at === 0) this.#leaf(0).low = new Uint8Array(0)
    this.#root.remove(at)
    this.#refit(Math.max(at - 1, 0))
  }

  /** Takes a leaf's marks anew when its bounds have moved so that they have become wrong, or would tell more. */
  #refit(at: number): void {
    const leaf = this.#leaf(at)
    const next = this.#leaves[at + 1]
    const common = next === undefined ? 0 : commonLength(spanOf(leaf.low), spanOf(next.low))
    if (leaf.skip <= common && common < leaf.skip + STALE_BYTES) return
    leaf.skip = common
    for (let slot = 0; slot < leaf.count; slot++) {
      leaf.marks[slot] = markOf(this.#keyOf(leaf.record(slot)), common)
    }
  }

  #copyOf(record: RecordNumber): Span {
    const { bytes, start, end } = this.#keyOf(record)
    return spanOf(bytes.slice(start, end))
  }
}

/** Records in the order of their keys. */
class Leaf {
  /** No key here is below; no longer than tells the first key from the leaf before. */
  low: Uint8Array
  /** How many first bytes marks leave out: no more than all keys that may come here have in common. */
  skip = 0
  count = 0
  readonly marks: Float64Array = new Float64Array(LEAF_RECORDS)
  readonly records: Int32Array = new Int32Array(LEAF_RECORDS)

  constructor(low: Uint8Array) {
    this.low = low
  }

  record(slot: number): RecordNumber {
    return this.records[slot] ?? NONE
  }

  insert(slot: number, record: RecordNumber, mark: number): void {
    this.marks.copyWithin(slot + 1, slot, this.count)
    this.records.copyWithin(slot + 1, slot, this.count)
    this.marks[slot] = mark
    this.records[slot] = record
    this.count++
  }

  remove(slot: number): void {
    this.marks.copyWithin(slot, slot + 1, this.count)
    this.records.copyWithin(slot, slot + 1, this.count)
    this.count--
  }

  /** All from a slot of another leaf on. */
  take(other: Leaf, from: number): void {
    this.marks.set(other.marks.subarray(from, other.count))
    this.records.set(other.records.subarray(from, other.count))
    this.count = other.count - from
    other.count = from
  }
}

/**
 * The marks of the leaves' lowest keys, which spare most looks at the leaves themselves.
 *
 * Invariant: the lows of all leaves but the first, whose low is empty, begin with `#prefix`.
 */
class RootMarks {
  #marks: Float64Array = new Float64Array(16)
  #count = 1
  #prefix: Span = spanOf(new Uint8Array(0))

  /** The last leaf whose low is not above `key`. */
  search(key: Span, leaves: readonly Leaf[]): number {
    const skip = this.#prefix.end
    const common = commonLength(this.#prefix, key)
    if (common < skip) return compareSpans(key, this.#prefix) < 0 ? 0 : this.#count - 1
    const mark = markOf(key, skip)
    let low = 0
    let high = this.#count - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      const other = this.#marks[middle] ?? 0
      const isAbove = other === mark ? compareSpans(spanOf(lowOf(leaves, middle)), key) > 0 : other > mark
      if (isAbove) high = middle - 1
      else low = middle
    }
    return low
  }

  /** The leaf at this place is new. */
  insert(at: number, leaves: readonly Leaf[]): void {
    if (this.#count === this.#marks.length) {
      const marks = new Float64Array(2 * this.#count)
      marks.set(this.#marks)
      this.#marks = marks
    }
    this.#marks.copyWithin(at + 1, at, this.#count)
    this.#count++
    const low = spanOf(lowOf(leaves, at))
    const common = this.#count === 2 ? low.end : commonLength(this.#prefix, low)
    if (this.#count > 2 && common === this.#prefix.end) this.#marks[at] = markOf(low, common)
    else this.#shorten(spanOf(low.bytes.slice(0, common)), leaves)
  }

  remove(at: number): void {
    this.#marks.copyWithin(at, at + 1, this.#count)
    this.#count--
  }

  #shorten(prefix: Span, leaves: readonly Leaf[]): void {
    this.#prefix = prefix
    for (let at = 1; at < leaves.length; at++) {
      this.#marks[at] = markOf(spanOf(lowOf(leaves, at)), prefix.end)
    }
  }
}

function lowOf(leaves: readonly Leaf[], at: number): Uint8Array {
  return required(leaves[at], 'a leaf').low
}

/**
 * Six bytes of a key behind the first `skip`, as many as a double can hold, as a number that compares as they do; what
 * the key lacks counts as 0.
 */
function markOf(key: Span, skip: number): number {
  return wordOf(key, skip) * 65_536 + (wordOf(key, skip + 4) >>> 16)
}

/** Four bytes of a key, as {@link markOf} puts six together. */
function wordOf({ bytes, start, end }: Span, skip: number): number {
  const at = start + skip
  if (at + 4 <= end) {
    const low = ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)
    return (((bytes[at] ?? 0) << 24) | low) >>> 0
  }
  let word = 0
  for (let next = at; next < at + 4; next++) word = (word << 8) | (next < end ? (bytes[next] ?? 0) : 0)
  return word >>> 0
}

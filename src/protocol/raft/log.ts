/** The log as Raft sees it: the term and size of every entry after the snapshot; payloads stay with the host. */

import { assert, required } from '../../base/assert.ts'
import type { LogIndex, LogPosition, Term } from '../core.ts'

const SMALLEST_RING = 64

/**
 * Two rings of numbers, indexed by log index. The snapshot's last position has a slot of its own, so that the entry
 * before the first one needs no special case.
 *
 * Invariant: snapshotIndex <= lastIndex.
 * Invariant: terms never decrease.
 */
export class RaftLog {
  #snapshotIndex: LogIndex
  #lastIndex: LogIndex
  #terms = new Float64Array(SMALLEST_RING)
  /** Bytes of all entries up to and including this one since the log was opened; a range's size is a difference. */
  #ends = new Float64Array(SMALLEST_RING)

  constructor(snapshot: LogPosition, entries: readonly { readonly term: Term; readonly size: number }[]) {
    this.#snapshotIndex = snapshot.index
    this.#lastIndex = snapshot.index
    this.#put(snapshot.index, snapshot.term, 0)
    for (const entry of entries) this.append(entry.term, entry.size)
  }

  /** The end of the newest snapshot: entries up to here are forgotten. */
  get snapshot(): LogPosition {
    return { index: this.#snapshotIndex, term: this.#term(this.#snapshotIndex) }
  }

  get snapshotIndex(): LogIndex {
    return this.#snapshotIndex
  }

  get last(): LogPosition {
    return { index: this.#lastIndex, term: this.#term(this.#lastIndex) }
  }

  get lastIndex(): LogIndex {
    return this.#lastIndex
  }

  get lastTerm(): Term {
    return this.#term(this.#lastIndex)
  }

  /** The term of the entry, or of the snapshot's end; `undefined` for what is forgotten or not here yet. */
  termAt(index: LogIndex): Term | undefined {
    return index < this.#snapshotIndex || index > this.#lastIndex ? undefined : this.#term(index)
  }

  holds(position: LogPosition): boolean {
    return this.termAt(position.index) === position.term
  }

  /** Whether a log that ends here may lead: it holds all that this one could have helped to commit (thesis §3.6.1). */
  isCoveredBy(last: LogPosition): boolean {
    return last.term > this.lastTerm || (last.term === this.lastTerm && last.index >= this.#lastIndex)
  }

  /** Bytes of the entries in (after, upTo]. */
  bytes(after: LogIndex, upTo: LogIndex): number {
    return upTo <= after ? 0 : this.#end(upTo) - this.#end(Math.max(after, this.#snapshotIndex))
  }

  /** The end (exclusive) of the longest range from `from` on that fits into `bytes`; it has at least one entry if there is one. */
  rangeEnd(from: LogIndex, bytes: number): LogIndex {
    if (from > this.#lastIndex) return from
    const most = this.#end(from - 1) + bytes
    if (this.#end(this.#lastIndex) <= most) return this.#lastIndex + 1
    return (
      Math.max(
        this.#lastWhere(from, (index) => this.#end(index) <= most),
        from,
      ) + 1
    )
  }

  /** The last index up to `index` whose term is at most `term`: where a log with that position may agree with this one. */
  lastIndexWithin(index: LogIndex, term: Term): LogIndex {
    const end = Math.min(index, this.#lastIndex)
    if (end < this.#snapshotIndex || this.#term(end) <= term) return end
    return this.#lastWhere(this.#snapshotIndex, (at) => at <= end && this.#term(at) <= term)
  }

  append(term: Term, size: number): void {
    assert(term >= this.lastTerm, 'terms in a log never decrease')
    if (this.#lastIndex - this.#snapshotIndex + 2 > this.#terms.length) this.#resize(this.#terms.length * 2)
    const end = this.#end(this.#lastIndex) + size
    this.#lastIndex++
    this.#put(this.#lastIndex, term, end)
  }

  truncate(lastKept: LogIndex): void {
    assert(lastKept >= this.#snapshotIndex && lastKept <= this.#lastIndex, 'only entries of the log are truncated')
    this.#lastIndex = lastKept
  }

  /** Forgets the entries up to and including `index`. */
  compact(index: LogIndex): void {
    assert(index >= this.#snapshotIndex && index <= this.#lastIndex, 'only entries of the log are compacted')
    this.#snapshotIndex = index
    const capacity = this.#terms.length
    if (capacity > SMALLEST_RING && (this.#lastIndex - index + 1) * 8 < capacity) this.#resize(capacity / 4)
  }

  /** Starts over after an installed snapshot. */
  reset(snapshot: LogPosition): void {
    this.#snapshotIndex = snapshot.index
    this.#lastIndex = snapshot.index
    this.#resize(SMALLEST_RING)
    this.#put(snapshot.index, snapshot.term, 0)
  }

  check(): void {
    assert(this.#snapshotIndex <= this.#lastIndex, 'the snapshot ends within the log')
    for (let index = this.#snapshotIndex + 1; index <= this.#lastIndex; index++) {
      assert(this.#term(index - 1) <= this.#term(index), 'terms in a log never decrease')
    }
  }

  /** The last index from `low` on for which `holds` is true, given that it is true up to some point; `low - 1` if nowhere. */
  #lastWhere(low: LogIndex, holds: (index: LogIndex) => boolean): LogIndex {
    let known = low - 1
    let beyond = this.#lastIndex + 1
    while (beyond - known > 1) {
      const middle = Math.floor((known + beyond) / 2)
      if (holds(middle)) known = middle
      else beyond = middle
    }
    return known
  }

  #term(index: LogIndex): Term {
    return required(this.#terms[index % this.#terms.length], 'the slot of an entry')
  }

  #end(index: LogIndex): number {
    return required(this.#ends[index % this.#ends.length], 'the slot of an entry')
  }

  #put(index: LogIndex, term: Term, end: number): void {
    this.#terms[index % this.#terms.length] = term
    this.#ends[index % this.#ends.length] = end
  }

  #resize(capacity: number): void {
    const terms = new Float64Array(capacity)
    const ends = new Float64Array(capacity)
    for (let index = this.#snapshotIndex; index <= this.#lastIndex; index++) {
      terms[index % capacity] = this.#term(index)
      ends[index % capacity] = this.#end(index)
    }
    this.#terms = terms
    this.#ends = ends
  }
}

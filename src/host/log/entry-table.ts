/** An entry table holds what is known of one group's entries, in columns: no object for each entry. */

import { assert } from '../../base/assert.ts'
import type { LogIndex, Term } from '../../protocol/core.ts'
import type { PayloadSlab } from './payload-slab.ts'
import type { Usage } from './usage.ts'

const FEWEST_ROWS = 16

/**
 * Consecutive entries from `first` on; grows at the end, shrinks at both ends.
 *
 * Invariant: `last` is `first - 1` when it is empty.
 */
export class EntryTable {
  first: LogIndex
  last: LogIndex
  /** Payload of all entries, in memory or not. */
  bytes = 0
  readonly #usage: Usage
  /** Row of `first` in the columns. */
  #head = 0
  #capacity = FEWEST_ROWS
  #terms = new Float64Array(FEWEST_ROWS)
  #sizes = new Uint32Array(FEWEST_ROWS)
  #chains = new Uint32Array(FEWEST_ROWS)
  #segments = new Uint32Array(FEWEST_ROWS)
  #offsets = new Uint32Array(FEWEST_ROWS)
  #kinds = new Uint8Array(FEWEST_ROWS)
  /** Where payloads stand in memory, and at which byte there; undefined for those that don't. */
  #slabs: (PayloadSlab | undefined)[] = []
  #starts = new Uint32Array(FEWEST_ROWS)

  constructor(first: LogIndex, usage: Usage) {
    this.#usage = usage
    this.first = first
    this.last = first - 1
  }

  append(term: Term, kind: number, chain: number, size: number): void {
    const row = this.#head + this.last + 1 - this.first
    if (row === this.#capacity) {
      this.#makeRoom()
      this.append(term, kind, chain, size)
      return
    }
    this.last++
    this.bytes += size
    this.#terms[row] = term
    this.#sizes[row] = size
    this.#chains[row] = chain
    this.#segments[row] = 0
    this.#offsets[row] = 0
    this.#kinds[row] = kind
    this.#slabs[row] = undefined
  }

  has(index: LogIndex): boolean {
    return index >= this.first && index <= this.last
  }

  term(index: LogIndex): Term {
    return this.#terms[this.#row(index)] ?? 0
  }

  size(index: LogIndex): number {
    return this.#sizes[this.#row(index)] ?? 0
  }

  chain(index: LogIndex): number {
    return this.#chains[this.#row(index)] ?? 0
  }

  kind(index: LogIndex): number {
    return this.#kinds[this.#row(index)] ?? 0
  }

  /** The segment that holds the entry; 0 while none does. */
  segment(index: LogIndex): number {
    return this.#segments[this.#row(index)] ?? 0
  }

  offset(index: LogIndex): number {
    return this.#offsets[this.#row(index)] ?? 0
  }

  place(index: LogIndex, segment: number, offset: number): void {
    const row = this.#row(index)
    this.#usage.release(this.#segments[row] ?? 0)
    this.#usage.take(segment)
    this.#segments[row] = segment
    this.#offsets[row] = offset
  }

  /** The payload, a view that is good until the entry is forgotten or let go of; undefined when it is not in memory. */
  payload(index: LogIndex): Uint8Array | undefined {
    const row = this.#row(index)
    return this.#slabs[row]?.view(this.#starts[row] ?? 0, this.#sizes[row] ?? 0)
  }

  /** Whether the payload is in memory. */
  holds(index: LogIndex): boolean {
    return this.#slabs[this.#row(index)] !== undefined
  }

  /** Keeps the payload in memory, in this slab. */
  hold(index: LogIndex, slab: PayloadSlab, payload: Uint8Array): void {
    const row = this.#row(index)
    assert(this.#slabs[row] === undefined && payload.length === this.#sizes[row], 'a payload is held once, and whole')
    this.#starts[row] = slab.put(payload)
    this.#slabs[row] = slab
    this.#usage.hold(payload.length)
  }

  /** Lets go of the payload in memory. */
  release(index: LogIndex): void {
    const row = this.#row(index)
    const slab = this.#slabs[row]
    if (slab === undefined) return
    slab.drop()
    this.#slabs[row] = undefined
    this.#usage.letGo(this.#sizes[row] ?? 0)
  }

  /** Forgets the last entry. */
  pop(): void {
    this.#forget(this.last)
    this.last--
  }

  /** Forgets the first entry. */
  shift(): void {
    this.#forget(this.first)
    this.first++
    this.#head++
  }

  #forget(index: LogIndex): void {
    this.release(index)
    this.bytes -= this.size(index)
    this.#usage.release(this.segment(index))
  }

  #row(index: LogIndex): number {
    assert(this.has(index), 'an entry that is asked for is in the log')
    return this.#head + index - this.first
  }

  /** Moves the rows to the front of columns that fit them twice over, so that appending stays cheap on average. */
  #makeRoom(): void {
    const [from, until] = [this.#head, this.#capacity]
    this.#capacity = Math.max(FEWEST_ROWS, (until - from) * 2)
    this.#terms = moved(this.#terms, new Float64Array(this.#capacity), from)
    this.#sizes = moved(this.#sizes, new Uint32Array(this.#capacity), from)
    this.#chains = moved(this.#chains, new Uint32Array(this.#capacity), from)
    this.#segments = moved(this.#segments, new Uint32Array(this.#capacity), from)
    this.#offsets = moved(this.#offsets, new Uint32Array(this.#capacity), from)
    this.#kinds = moved(this.#kinds, new Uint8Array(this.#capacity), from)
    this.#starts = moved(this.#starts, new Uint32Array(this.#capacity), from)
    this.#slabs = this.#slabs.slice(from)
    this.#head = 0
  }
}

function moved<Column extends Float64Array | Uint32Array | Uint8Array>(
  old: Column,
  fresh: Column,
  from: number,
): Column {
  fresh.set(old.subarray(from))
  return fresh
}

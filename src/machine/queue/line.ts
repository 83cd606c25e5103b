/** Lines are ordered rows of numbered things, in which most come last and leave first. */

import { Heap, type HeapEntry } from '../../base/heap.ts'
import { resized } from './column.ts'

/** Those of a line that came between others, which no list finds the place of quickly. */
interface Late {
  readonly heap: Heap<number>
  readonly entries: Map<number, HeapEntry<number>>
}

/**
 * Many numbered lines, in one of which at most each thing is: doubly linked lists in typed arrays.
 *
 * Invariant: ranks ascend along a list; nobody is late in a line that has no list and nobody late.
 */
export class Lines {
  /** By thing. Of one that is in no line it is the owner's. */
  rank: Float64Array = new Float64Array(0)
  #next: Int32Array = new Int32Array(0)
  #previous: Int32Array = new Int32Array(0)
  /** Ends of lists by line, plus one; 0 for a line without. */
  #heads: Int32Array = new Int32Array(0)
  #tails: Int32Array = new Int32Array(0)
  readonly #late: Map<number, Late> = new Map()

  growThings(capacity: number): void {
    this.rank = resized(this.rank, new Float64Array(capacity))
    this.#next = resized(this.#next, new Int32Array(capacity))
    this.#previous = resized(this.#previous, new Int32Array(capacity))
  }

  growLines(capacity: number): void {
    if (capacity <= this.#heads.length) return
    this.#heads = resized(this.#heads, new Int32Array(capacity))
    this.#tails = resized(this.#tails, new Int32Array(capacity))
  }

  isEmpty(line: number): boolean {
    return this.#heads[line] === 0 && (this.#late.size === 0 || !this.#late.has(line))
  }

  /** Who is first in line; -1 when nobody is. */
  first(line: number): number {
    const head = (this.#heads[line] ?? 0) - 1
    const late = this.#late.size === 0 ? undefined : this.#late.get(line)
    if (late === undefined) return head
    return head === -1 || late.heap.lowest < (this.rank[head] ?? 0) ? (late.heap.peek() ?? -1) : head
  }

  insert(line: number, thing: number, rank: number): void {
    this.rank[thing] = rank
    const head = (this.#heads[line] ?? 0) - 1
    const tail = (this.#tails[line] ?? 0) - 1
    if (tail === -1 || (this.rank[tail] ?? 0) <= rank) {
      this.#previous[thing] = tail
      this.#next[thing] = -1
      if (tail === -1) this.#heads[line] = thing + 1
      else this.#next[tail] = thing
      this.#tails[line] = thing + 1
    } else if (rank < (this.rank[head] ?? 0)) {
      this.#previous[thing] = -1
      this.#next[thing] = head
      this.#previous[head] = thing
      this.#heads[line] = thing + 1
    } else this.#insertLate(line, thing, rank)
  }

  /** The thing must be in this line. */
  remove(line: number, thing: number): void {
    if (this.#late.size > 0 && this.#removeLate(line, thing)) return
    const previous = this.#previous[thing] ?? -1
    const next = this.#next[thing] ?? -1
    if (previous === -1) this.#heads[line] = next + 1
    else this.#next[previous] = next
    if (next === -1) this.#tails[line] = previous + 1
    else this.#previous[next] = previous
  }

  #insertLate(line: number, thing: number, rank: number): void {
    let late = this.#late.get(line)
    if (late === undefined) {
      late = { heap: new Heap(), entries: new Map() }
      this.#late.set(line, late)
    }
    late.entries.set(thing, late.heap.add(thing, rank))
  }

  #removeLate(line: number, thing: number): boolean {
    const late = this.#late.get(line)
    const entry = late?.entries.get(thing)
    if (late === undefined || entry === undefined) return false
    late.heap.remove(entry)
    late.entries.delete(thing)
    if (late.entries.size === 0) this.#late.delete(line)
    return true
  }
}

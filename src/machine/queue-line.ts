/** A line is an ordered row of numbered things, in which most come last and leave first. */

import { Heap, type HeapEntry } from '../base/heap.ts'

/** Ends of a row; what is between them is in the {@link Links} that it goes through. */
export class Line {
  head = -1
  tail = -1
  /** Those that came between others, which no list finds the place of quickly. */
  late: Late | undefined

  get isEmpty(): boolean {
    return this.head === -1 && this.late === undefined
  }
}

interface Late {
  readonly heap: Heap<number>
  readonly entries: Map<number, HeapEntry<number>>
}

/**
 * The neighbours and ranks of many things, each of which is in one line at most: doubly linked lists in typed arrays.
 *
 * Invariant: ranks ascend along a line; `late` is not there when it would be empty.
 */
export class Links {
  rank: Float64Array = new Float64Array(0)
  #next: Int32Array = new Int32Array(0)
  #previous: Int32Array = new Int32Array(0)

  grow(capacity: number): void {
    this.rank = resized(this.rank, new Float64Array(capacity))
    this.#next = resized(this.#next, new Int32Array(capacity))
    this.#previous = resized(this.#previous, new Int32Array(capacity))
  }

  /** Who is first in line; -1 when nobody is. */
  first(line: Line): number {
    const { head, late } = line
    if (late === undefined) return head
    return head === -1 || late.heap.lowest < (this.rank[head] ?? 0) ? (late.heap.peek() ?? -1) : head
  }

  insert(line: Line, node: number, rank: number): void {
    this.rank[node] = rank
    const { head, tail } = line
    if (tail === -1 || (this.rank[tail] ?? 0) <= rank) {
      this.#previous[node] = tail
      this.#next[node] = -1
      if (tail === -1) line.head = node
      else this.#next[tail] = node
      line.tail = node
    } else if (rank < (this.rank[head] ?? 0)) {
      this.#previous[node] = -1
      this.#next[node] = head
      this.#previous[head] = node
      line.head = node
    } else {
      line.late ??= { heap: new Heap(), entries: new Map() }
      line.late.entries.set(node, line.late.heap.add(node, rank))
    }
  }

  /** `node` must be in this line. */
  remove(line: Line, node: number): void {
    const entry = line.late?.entries.get(node)
    if (line.late !== undefined && entry !== undefined) {
      line.late.heap.remove(entry)
      line.late.entries.delete(node)
      if (line.late.entries.size === 0) line.late = undefined
      return
    }
    const previous = this.#previous[node] ?? -1
    const next = this.#next[node] ?? -1
    if (previous === -1) line.head = next
    else this.#next[previous] = next
    if (next === -1) line.tail = previous
    else this.#previous[next] = previous
  }
}

/** Copies a column into a larger one. */
export function resized<Column extends { set(from: Column): void }>(from: Column, to: Column): Column {
  to.set(from)
  return to
}

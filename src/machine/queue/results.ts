/** A result is what a finished message left, kept for those who ask. */

import { Heap, type HeapEntry } from '../../base/heap.ts'
import type { LeaderMicros } from '../batch.ts'

/** Most results of a queue, and their bytes; the oldest make room. */
const RESULTS_LIMIT = 100_000
const RESULTS_LIMIT_BYTES: number = 64 * 1024 * 1024

export interface Result {
  readonly id: number
  readonly until: LeaderMicros
  readonly value: Uint8Array
}

interface Kept extends Result {
  readonly entry: HeapEntry<number>
}

export class Results {
  /** Oldest first. */
  readonly #results: Map<number, Kept> = new Map()
  readonly #due: Heap<number> = new Heap()
  #bytes = 0

  get dueAt(): LeaderMicros {
    return this.#due.lowest
  }

  get(id: number): Result | undefined {
    return this.#results.get(id)
  }

  all(): Iterable<Result> {
    return this.#results.values()
  }

  /** Keeps a copy. */
  add(id: number, until: LeaderMicros, value: Uint8Array): void {
    this.#remove(id)
    this.#results.set(id, { id, until, value: value.slice(), entry: this.#due.add(id, until) })
    this.#bytes += value.length
    for (const oldest of this.#results.keys()) {
      if (this.#results.size <= RESULTS_LIMIT && this.#bytes <= RESULTS_LIMIT_BYTES) return
      this.#remove(oldest)
    }
  }

  advance(time: LeaderMicros): void {
    while (this.#due.lowest <= time) this.#remove(this.#due.peek() ?? 0)
  }

  #remove(id: number): void {
    const kept = this.#results.get(id)
    if (kept === undefined) return
    this.#results.delete(id)
    this.#due.remove(kept.entry)
    this.#bytes -= kept.value.length
  }
}

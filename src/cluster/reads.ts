/** The linearizable reads of a replica: those of one turn share one read index, and are answered once it is applied. */

import type { LogIndex } from '../protocol/core.ts'
import type { Source } from './source.ts'

export interface Read {
  readonly source: Source
  readonly id: number
  readonly operation: number
  readonly bytes: Uint8Array
}

interface Indexed {
  readonly index: LogIndex
  readonly reads: readonly Read[]
}

export class Reads {
  #gathering: Read[] = []
  readonly #submitted = new Map<number, readonly Read[]>()
  #waiting: Indexed[] = []

  add(read: Read): void {
    this.#gathering.push(read)
  }

  /** Whether reads wait for something to be applied. */
  get isWaiting(): boolean {
    return this.#waiting.length > 0
  }

  /** Whether a read index must be asked for; what it is will be reported under `number`. */
  take(number: number): boolean {
    if (this.#gathering.length === 0) return false
    this.#submitted.set(number, this.#gathering)
    this.#gathering = []
    return true
  }

  /** The reads of this number see every acknowledged write once `index` is applied. */
  indexed(number: number, index: LogIndex): void {
    const reads = this.#submitted.get(number)
    if (reads === undefined) return
    this.#submitted.delete(number)
    this.#waiting.push({ index, reads })
  }

  /** No read index was to be had: the reads that must be asked again. */
  refused(number: number): readonly Read[] | undefined {
    const reads = this.#submitted.get(number)
    this.#submitted.delete(number)
    return reads
  }

  /** Hands over the reads that may be answered now that `index` is applied. */
  release(index: LogIndex, answer: (read: Read) => void): void {
    if (this.#waiting.length === 0) return
    const still: Indexed[] = []
    for (const indexed of this.#waiting) {
      if (indexed.index > index) still.push(indexed)
      else for (const read of indexed.reads) answer(read)
    }
    this.#waiting = still
  }
}

/** The linearizable reads of a replica: those of one turn share one read index, and are answered once it is applied. */

import type { LogIndex } from '../protocol/core.ts'
import type { Source } from './source.ts'

export interface Read {
  readonly source: Source
  readonly id: number
  readonly operation: number
  readonly bytes: Uint8Array
}

/** Bytes of reads that may wait at one replica, each with what it takes besides its own. */
export const WAITING_READ_BYTES: number = 32 * 2 ** 20
const READ_OVERHEAD_BYTES = 128

interface Indexed {
  readonly index: LogIndex
  readonly reads: readonly Read[]
}

export class Reads {
  #gathering: Read[] = []
  readonly #submitted = new Map<number, readonly Read[]>()
  #waiting: Indexed[] = []
  #bytes = 0

  /** False when too much waits. */
  add(read: Read): boolean {
    if (this.#bytes > WAITING_READ_BYTES) return false
    this.#bytes += sizeOf(read)
    this.#gathering.push(read)
    return true
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
    for (const read of reads ?? []) this.#bytes -= sizeOf(read)
    return reads
  }

  /** Hands over the reads that may be answered now that `index` is applied. */
  release(index: LogIndex, answer: (read: Read) => void): void {
    if (this.#waiting.length === 0) return
    const still: Indexed[] = []
    for (const indexed of this.#waiting) {
      if (indexed.index > index) still.push(indexed)
      else for (const read of indexed.reads) this.#answer(read, answer)
    }
    this.#waiting = still
  }

  #answer(read: Read, answer: (read: Read) => void): void {
    this.#bytes -= sizeOf(read)
    answer(read)
  }
}

function sizeOf({ bytes }: Read): number {
  return READ_OVERHEAD_BYTES + bytes.length
}

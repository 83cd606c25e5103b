/** A payload line is payloads of all groups in the order in which they came, of which the oldest leave memory first. */

import type { LogIndex } from '../../protocol/core.ts'
import type { GroupLog } from './group-log.ts'
import { PayloadSlab } from './payload-slab.ts'

/** Slabs double from the first to the usual size, so that a log that holds little is small. */
const FIRST_SLAB_BYTES: number = 16 * 1024
const SLAB_BYTES: number = 1024 * 1024

/**
 * First in, first out: followers and state machines read what was written last. Payloads are copied to slabs that are used
 * again and again: kept as they came, they would each hold on to the network's buffer, and all of them would be garbage.
 */
export class PayloadLine {
  readonly #isOver: () => boolean
  /** The last one is being filled; those before it are full or empty. */
  readonly #slabs: PayloadSlab[] = []
  #groups: GroupLog[] = []
  #indexes: LogIndex[] = []
  #oldest = 0

  /** @param isOver whether more is in memory than there may be */
  constructor(isOver: () => boolean) {
    this.#isOver = isOver
  }

  add(group: GroupLog, index: LogIndex, payload: Uint8Array): void {
    group.table.hold(index, this.#slabFor(payload.length), payload)
    this.#groups.push(group)
    this.#indexes.push(index)
  }

  /** Lets go of the oldest payloads while there are too many. What is in no segment yet stays: it could not be read back. */
  trim(): void {
    while (this.#oldest < this.#indexes.length && this.#dropOldest()) this.#oldest++
    if (this.#oldest < 1024 || this.#oldest * 2 < this.#indexes.length) return
    this.#groups = this.#groups.slice(this.#oldest)
    this.#indexes = this.#indexes.slice(this.#oldest)
    this.#oldest = 0
  }

  #dropOldest(): boolean {
    const table = this.#groups[this.#oldest]?.table
    const index = this.#indexes[this.#oldest] ?? 0
    if (!table?.has(index) || !table.holds(index)) return true
    if (!this.#isOver() || table.segment(index) === 0) return false
    table.release(index)
    return true
  }

  #slabFor(bytes: number): PayloadSlab {
    const newest = this.#slabs.at(-1)
    if (newest !== undefined && newest.room >= bytes) return newest
    const doubled = Math.min(2 * (newest?.size ?? FIRST_SLAB_BYTES / 2), SLAB_BYTES)
    const slab = this.#emptySlab(bytes) ?? new PayloadSlab(Math.max(bytes, doubled))
    this.#slabs.push(slab)
    return slab
  }

  /** Takes an empty slab out of the list; those of unusual size are given up, and so is what trimming left over. */
  #emptySlab(bytes: number): PayloadSlab | undefined {
    const empty = this.#slabs.filter(({ isEmpty }) => isEmpty)
    if (empty.length === 0) return undefined
    const full = this.#slabs.filter(({ isEmpty }) => !isEmpty)
    const usual = empty.filter(({ size }) => size === SLAB_BYTES)
    const taken = bytes <= SLAB_BYTES ? usual.pop() : undefined
    this.#slabs.splice(0, this.#slabs.length, ...usual.slice(0, 1), ...full)
    taken?.clear()
    return taken
  }
}

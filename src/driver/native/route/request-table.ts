/** A request table finds the operation that a reply belongs to, by the id of its request. */

import type { Operation } from './operation.ts'

const FEWEST_SLOTS = 256

/**
 * A ring of slots by the low bits of the id. Ids count up, so that a late reply never finds another operation. A Map
 * would do, but when entries come and go its discarded tables chain to each other, and whatever they held survives in
 * the old generation: the garbage collector took a third of all time.
 *
 * Invariant: at most half of the slots are taken, and `operation.requestId` leads to the slot of each.
 */
export class RequestTable {
  #slots: (Operation<unknown> | undefined)[] = emptySlots(FEWEST_SLOTS)
  #lastId = 0
  #count = 0

  get count(): number {
    return this.#count
  }

  /** The id given last. */
  get lastId(): number {
    return this.#lastId
  }

  /** An id that no operation has; never 0. Ids begin again after 2^32. */
  nextId(): number {
    const mask = this.#slots.length - 1
    do this.#lastId = (this.#lastId + 1) >>> 0
    while (this.#lastId === 0 || this.#slots[this.#lastId & mask] !== undefined)
    return this.#lastId
  }

  /** @param id the one that `nextId` gave last */
  add(operation: Operation<unknown>, id: number): void {
    operation.requestId = id
    this.#slots[id & (this.#slots.length - 1)] = operation
    this.#count++
    if (this.#count * 2 > this.#slots.length) this.#grow()
  }

  get(id: number): Operation<unknown> | undefined {
    const operation = this.#slots[id & (this.#slots.length - 1)]
    return operation?.requestId === id ? operation : undefined
  }

  delete(id: number): void {
    if (this.get(id) === undefined) return
    this.#slots[id & (this.#slots.length - 1)] = undefined
    this.#count--
  }

  all(): Operation<unknown>[] {
    return this.#slots.filter((operation) => operation !== undefined)
  }

  /** Ids that differ in fewer bits differ in more. */
  #grow(): void {
    const grown = emptySlots(this.#slots.length * 2)
    for (const operation of this.all()) grown[operation.requestId & (grown.length - 1)] = operation
    this.#slots = grown
  }
}

function emptySlots(count: number): (Operation<unknown> | undefined)[] {
  return Array.from({ length: count }, () => undefined)
}

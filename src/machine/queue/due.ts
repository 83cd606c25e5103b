/** A due heap gives out the slots of messages by the time at which something happens to them. */

import type { LeaderMicros } from '../batch.ts'
import { resized } from './column.ts'

/** A binary heap in typed arrays. Equal times go by id, so that the order does not depend on how the heap came about. */
export class DueHeap {
  /** Ids by slot, for ties; the owner replaces it when it grows. A heap that nothing has been in takes no memory. */
  ids: Float64Array = new Float64Array(0)
  #at: Float64Array = new Float64Array(0)
  /** Place in the heap plus one, by slot; 0 for none. */
  #places: Int32Array = new Int32Array(0)
  #slots: Int32Array = new Int32Array(0)
  #length = 0

  get dueAt(): LeaderMicros {
    return this.#length === 0 ? Number.POSITIVE_INFINITY : (this.#at[this.#slots[0] ?? 0] ?? 0)
  }

  /** The slot that is due first; -1 when there is none. */
  first(): number {
    return this.#length === 0 ? -1 : (this.#slots[0] ?? -1)
  }

  /** Sets when `slot` is due; Infinity takes it out. */
  set(slot: number, at: LeaderMicros): void {
    const place = (this.#places[slot] ?? 0) - 1
    if (at === Number.POSITIVE_INFINITY) {
      if (place >= 0) this.#remove(slot, place)
      return
    }
    if (slot >= this.#at.length) this.#grow(this.ids.length)
    this.#at[slot] = at
    const from = place < 0 ? this.#length++ : place
    this.#rise(slot, from)
    this.#sink(slot, (this.#places[slot] ?? 1) - 1)
  }

  #grow(capacity: number): void {
    this.#at = resized(this.#at, new Float64Array(capacity))
    this.#places = resized(this.#places, new Int32Array(capacity))
    this.#slots = resized(this.#slots, new Int32Array(capacity))
  }

  #remove(slot: number, place: number): void {
    this.#places[slot] = 0
    const last = this.#slots[--this.#length] ?? 0
    if (last === slot) return
    this.#rise(last, place)
    this.#sink(last, (this.#places[last] ?? 1) - 1)
  }

  #rise(slot: number, from: number): void {
    let place = from
    while (place > 0) {
      const parent = this.#slots[(place - 1) >>> 1] ?? 0
      if (!this.#isBefore(slot, parent)) break
      this.#put(parent, place)
      place = (place - 1) >>> 1
    }
    this.#put(slot, place)
  }

  #sink(slot: number, from: number): void {
    let place = from
    for (let child = 2 * place + 1; child < this.#length; child = 2 * place + 1) {
      const right = child + 1
      if (right < this.#length && this.#isBefore(this.#slots[right] ?? 0, this.#slots[child] ?? 0)) child = right
      const below = this.#slots[child] ?? 0
      if (!this.#isBefore(below, slot)) break
      this.#put(below, place)
      place = child
    }
    this.#put(slot, place)
  }

  #put(slot: number, place: number): void {
    this.#slots[place] = slot
    this.#places[slot] = place + 1
  }

  #isBefore(a: number, b: number): boolean {
    const atA = this.#at[a] ?? 0
    const atB = this.#at[b] ?? 0
    return atA < atB || (atA === atB && (this.ids[a] ?? 0) < (this.ids[b] ?? 0))
  }
}

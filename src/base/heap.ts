/** A heap gives out its items by priority, the lowest first, and lets each be moved or removed meanwhile. */

import { assert } from './assert.ts'

/** One item's place in a heap; what `add` returns and `update` and `remove` take. */
export class HeapEntry<Item> {
  readonly item: Item
  priority: number
  /** Decides between equal priorities: first in, first out. */
  readonly order: number
  /** Where it is in the heap's array; -1 when it is in none. */
  position = -1

  constructor(item: Item, priority: number, order: number) {
    this.item = item
    this.priority = priority
    this.order = order
  }
}

/** A binary heap (Williams 1964) whose entries know their positions. Equal priorities leave in the order of their coming. */
export class Heap<Item> {
  readonly #entries: HeapEntry<Item>[] = []
  #order = 0

  get size(): number {
    return this.#entries.length
  }

  /** The lowest priority; Infinity when the heap is empty. */
  get lowest(): number {
    return this.#entries[0]?.priority ?? Number.POSITIVE_INFINITY
  }

  peek(): Item | undefined {
    return this.#entries[0]?.item
  }

  add(item: Item, priority: number): HeapEntry<Item> {
    const entry = new HeapEntry(item, priority, this.#order++)
    this.#entries.push(entry)
    this.#rise(entry, this.#entries.length - 1)
    return entry
  }

  /** Takes the item with the lowest priority; undefined when the heap is empty. */
  take(): Item | undefined {
    const first = this.#entries[0]
    if (first !== undefined) this.remove(first)
    return first?.item
  }

  update(entry: HeapEntry<Item>, priority: number): void {
    assert(this.#entries[entry.position] === entry, 'an updated entry is in the heap')
    entry.priority = priority
    this.#rise(entry, entry.position)
    this.#sink(entry, entry.position)
  }

  /** False when the entry had already left. */
  remove(entry: HeapEntry<Item>): boolean {
    const position = entry.position
    if (this.#entries[position] !== entry) return false
    entry.position = -1
    const last = this.#entries.pop()
    if (last === undefined || last === entry) return true
    this.#rise(last, position)
    this.#sink(last, last.position)
    return true
  }

  #rise(entry: HeapEntry<Item>, from: number): void {
    let at = from
    while (at > 0) {
      const parent = this.#entries[(at - 1) >>> 1]
      if (parent === undefined || !isBefore(entry, parent)) break
      this.#put(parent, at)
      at = (at - 1) >>> 1
    }
    this.#put(entry, at)
  }

  #sink(entry: HeapEntry<Item>, from: number): void {
    let at = from
    while (true) {
      const left = this.#entries[2 * at + 1]
      const right = this.#entries[2 * at + 2]
      const child = left !== undefined && right !== undefined && isBefore(right, left) ? right : left
      if (child === undefined || !isBefore(child, entry)) break
      const below = child.position
      this.#put(child, at)
      at = below
    }
    this.#put(entry, at)
  }

  #put(entry: HeapEntry<Item>, position: number): void {
    this.#entries[position] = entry
    entry.position = position
  }
}

function isBefore<Item>(a: HeapEntry<Item>, b: HeapEntry<Item>): boolean {
  return a.priority < b.priority || (a.priority === b.priority && a.order < b.order)
}

/** A ring is a first-in, first-out queue with a limit, in one array whose ends meet. */

/** Grows by doubling as far as its capacity needs; adding and taking move nothing. */
export class Ring<Item> {
  readonly capacity: number
  #slots: (Item | undefined)[]
  #first = 0
  #length = 0

  /** @param capacity most items it holds */
  constructor(capacity: number) {
    this.capacity = capacity
    this.#slots = emptySlots(Math.min(capacity, 16))
  }

  get length(): number {
    return this.#length
  }

  get isFull(): boolean {
    return this.#length >= this.capacity
  }

  /** Adds at the end; false when it is full, and then nothing was added. */
  push(item: Item): boolean {
    if (this.isFull) return false
    if (this.#length === this.#slots.length) this.#grow()
    this.#slots[(this.#first + this.#length) % this.#slots.length] = item
    this.#length++
    return true
  }

  /** Takes from the front; undefined when it is empty. */
  shift(): Item | undefined {
    if (this.#length === 0) return undefined
    const item = this.#slots[this.#first]
    this.#slots[this.#first] = undefined
    this.#first = (this.#first + 1) % this.#slots.length
    this.#length--
    return item
  }

  /** The item `position` places behind the front; undefined beyond the end. */
  at(position: number): Item | undefined {
    if (position < 0 || position >= this.#length) return undefined
    return this.#slots[(this.#first + position) % this.#slots.length]
  }

  #grow(): void {
    const grown = emptySlots<Item>(Math.min(this.capacity, this.#slots.length * 2))
    for (let at = 0; at < this.#length; at++) grown[at] = this.at(at)
    this.#slots = grown
    this.#first = 0
  }
}

function emptySlots<Item>(length: number): (Item | undefined)[] {
  return Array.from({ length }, () => undefined)
}

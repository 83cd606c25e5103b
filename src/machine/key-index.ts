/** A key index keeps items in the order of their keys' UTF-8 bytes. */

export interface Keyed {
  readonly key: string
}

/** A leaf that grows beyond this is split. */
const LEAF_ITEMS = 512

/**
 * Compares two keys as their UTF-8 bytes compare. JavaScript's own order is that of UTF-16, which differs only where a
 * surrogate (a character beyond U+FFFF) meets a character from U+E000 on.
 */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let at = 0; at < length; at++) {
    const left = a.charCodeAt(at)
    const right = b.charCodeAt(at)
    if (left !== right) return rank(left) - rank(right)
  }
  return a.length - b.length
}

function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}

/** Sorted leaves below one sorted root: two binary searches find a key, and only one short array moves for a change. */
export class KeyIndex<Item extends Keyed> {
  readonly #leaves: Item[][] = [[]]
  #size = 0
  #version = 0

  get size(): number {
    return this.#size
  }

  /** Changes whenever an item comes or goes. */
  get version(): number {
    return this.#version
  }

  /** The key must not be there yet. */
  insert(item: Item): void {
    const at = this.#leafOf(item.key)
    const leaf = this.#leaves[at] ?? []
    const slot = lowerBound(leaf, item.key)
    this.#size++
    this.#version++
    if (leaf.length < LEAF_ITEMS) {
      leaf.splice(slot, 0, item)
      return
    }
    // Keys that come in ascending order leave full leaves behind them, not half-full ones.
    const isLast = at === this.#leaves.length - 1 && slot === leaf.length
    const right = isLast ? [] : leaf.splice(LEAF_ITEMS / 2)
    this.#leaves.splice(at + 1, 0, right)
    if (slot > leaf.length || isLast) right.splice(slot - leaf.length, 0, item)
    else leaf.splice(slot, 0, item)
  }

  /** The key must be there. */
  remove(key: string): void {
    const at = this.#leafOf(key)
    const leaf = this.#leaves[at] ?? []
    leaf.splice(lowerBound(leaf, key), 1)
    this.#size--
    this.#version++
    if (leaf.length === 0 && this.#leaves.length > 1) this.#leaves.splice(at, 1)
  }

  /** Where the first item is whose key is not below `key`. */
  seek(key: string): IndexPosition {
    const leaf = this.#leafOf(key)
    return { leaf, slot: lowerBound(this.#leaves[leaf] ?? [], key) }
  }

  /** Behind the last item. */
  end(): IndexPosition {
    const leaf = this.#leaves.length - 1
    return { leaf, slot: this.#leaves[leaf]?.length ?? 0 }
  }

  /** The item at the position, which moves behind it; undefined at the end. */
  next(position: IndexPosition): Item | undefined {
    const item = this.#leaves[position.leaf]?.[position.slot]
    if (item !== undefined) {
      position.slot++
      return item
    }
    if (position.leaf + 1 >= this.#leaves.length) return undefined
    position.leaf++
    position.slot = 1
    return this.#leaves[position.leaf]?.[0]
  }

  /** The item before the position, which moves to it; undefined at the beginning. */
  previous(position: IndexPosition): Item | undefined {
    if (position.slot === 0) {
      if (position.leaf === 0) return undefined
      position.leaf--
      position.slot = this.#leaves[position.leaf]?.length ?? 0
    }
    position.slot--
    return this.#leaves[position.leaf]?.[position.slot]
  }

  /** The last leaf whose first key is not above `key`; the first leaf when there is none. */
  #leafOf(key: string): number {
    let low = 0
    let high = this.#leaves.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      const first = this.#leaves[middle]?.[0]
      if (first !== undefined && compareKeys(first.key, key) <= 0) low = middle
      else high = middle - 1
    }
    return low
  }
}

/** A place between two items; good until the index's `version` changes. */
export interface IndexPosition {
  leaf: number
  slot: number
}

function lowerBound<Item extends Keyed>(leaf: readonly Item[], key: string): number {
  let low = 0
  let high = leaf.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const item = leaf[middle]
    if (item !== undefined && compareKeys(item.key, key) < 0) low = middle + 1
    else high = middle
  }
  return low
}

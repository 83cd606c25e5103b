/** An id list keeps the ids of messages in ascending order, each with the slot that its message is in. */

const CHUNK = 512
const FIRST_CHUNK = 16

/** What is in use of a chunk is from `start` to before `end`: most ids leave at its start. */
interface Chunk {
  ids: Float64Array
  slots: Int32Array
  start: number
  end: number
}

/**
 * Index and order in one: a tree of two levels, whose leaves are short sorted arrays. New ids are above all others, so
 * leaves are full but for the last and those from which messages have left.
 *
 * Invariant: no chunk is empty.
 */
export class IdList {
  readonly #chunks: Chunk[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  /** The slot of `id`; -1 when it is not in the list. */
  find(id: number): number {
    const chunk = this.#chunks[this.#chunkOf(id)]
    if (chunk === undefined) return -1
    const at = lowerBound(chunk, id)
    return at < chunk.end && chunk.ids[at] === id ? (chunk.slots[at] ?? -1) : -1
  }

  /** The slot of the lowest id; -1 when there is none. */
  first(): number {
    const chunk = this.#chunks[0]
    return chunk?.slots[chunk.start] ?? -1
  }

  add(id: number, slot: number): void {
    const position = this.#chunkOf(id)
    let chunk = this.#chunks[position]
    if (chunk === undefined) chunk = this.#insert(0)
    else if (chunk.end === chunk.ids.length) chunk = this.#makeRoom(chunk, position, id)
    const at = lowerBound(chunk, id)
    if (at < chunk.end) {
      chunk.ids.copyWithin(at + 1, at, chunk.end)
      chunk.slots.copyWithin(at + 1, at, chunk.end)
    }
    chunk.ids[at] = id
    chunk.slots[at] = slot
    chunk.end++
    this.#size++
  }

  /** False when it was not in the list. */
  remove(id: number): boolean {
    const position = this.#chunkOf(id)
    const chunk = this.#chunks[position]
    if (chunk === undefined) return false
    const at = lowerBound(chunk, id)
    if (at === chunk.end || chunk.ids[at] !== id) return false
    if (at === chunk.start) chunk.start++
    else {
      chunk.ids.copyWithin(at, at + 1, chunk.end)
      chunk.slots.copyWithin(at, at + 1, chunk.end)
      chunk.end--
    }
    this.#size--
    if (chunk.start === chunk.end) this.#chunks.splice(position, 1)
    return true
  }

  /** Calls `visit` with the slots of the ids after `after`, in their order, until it returns false. It must not change the list. */
  forEach(after: number, visit: (slot: number) => boolean): void {
    for (let position = this.#chunkOf(after); position < this.#chunks.length; position++) {
      const chunk = this.#chunks[position]
      if (chunk === undefined) return
      for (let at = lowerBound(chunk, after); at < chunk.end; at++) {
        if (chunk.ids[at] !== after && !visit(chunk.slots[at] ?? -1)) return
      }
    }
  }

  /** The slots in the order of their ids. */
  slots(): Int32Array {
    const slots = new Int32Array(this.#size)
    let at = 0
    for (const chunk of this.#chunks) {
      slots.set(chunk.slots.subarray(chunk.start, chunk.end), at)
      at += chunk.end - chunk.start
    }
    return slots
  }

  /** The last chunk that begins with no more than `id`, or the first. */
  #chunkOf(id: number): number {
    let low = 0
    let high = this.#chunks.length
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      const chunk = this.#chunks[middle]
      if (chunk !== undefined && (chunk.ids[chunk.start] ?? 0) <= id) low = middle
      else high = middle
    }
    return low
  }

  #insert(position: number): Chunk {
    const size = this.#chunks.length === 0 ? FIRST_CHUNK : CHUNK
    const chunk = { ids: new Float64Array(size), slots: new Int32Array(size), start: 0, end: 0 }
    this.#chunks.splice(position, 0, chunk)
    return chunk
  }

  /** Makes room for `id` in a chunk that is used to its end. */
  #makeRoom(chunk: Chunk, position: number, id: number): Chunk {
    const { ids, slots, start, end } = chunk
    if (start === 0 && end === CHUNK) return this.#divide(position, id)
    if (start === 0) {
      grow(chunk)
      return chunk
    }
    // An id that comes last, as most do, begins a new chunk: this one is about to be emptied.
    if (end === CHUNK && (ids[end - 1] ?? 0) < id && position === this.#chunks.length - 1)
      return this.#insert(position + 1)
    ids.copyWithin(0, start, end)
    slots.copyWithin(0, start, end)
    chunk.start = 0
    chunk.end = end - start
    return chunk
  }

  /** Makes room for `id` in a full chunk: beside it when it comes last, as it mostly does, else by halving. */
  #divide(position: number, id: number): Chunk {
    const chunk = this.#chunks[position]
    const next = this.#insert(position + 1)
    if (chunk === undefined || (chunk.ids[CHUNK - 1] ?? 0) < id) return next
    const half = CHUNK >>> 1
    next.ids.set(chunk.ids.subarray(half))
    next.slots.set(chunk.slots.subarray(half))
    next.end = CHUNK - half
    chunk.end = half
    return (next.ids[0] ?? 0) <= id ? next : chunk
  }
}

/** Where the first id is that is not below `id`. */
function lowerBound(chunk: Chunk, id: number): number {
  let low = chunk.start
  let high = chunk.end
  // Most of those that leave are the first, most that come the last.
  if (low < high && (chunk.ids[low] ?? 0) >= id) return low
  if (low < high && (chunk.ids[high - 1] ?? 0) < id) return high
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((chunk.ids[middle] ?? 0) < id) low = middle + 1
    else high = middle
  }
  return low
}

function grow(chunk: Chunk): void {
  const ids = new Float64Array(chunk.ids.length * 2)
  const slots = new Int32Array(chunk.slots.length * 2)
  ids.set(chunk.ids)
  slots.set(chunk.slots)
  chunk.ids = ids
  chunk.slots = slots
}

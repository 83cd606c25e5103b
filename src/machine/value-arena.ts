/** An arena keeps many small values in few large buffers: a buffer for each costs more to allocate than to fill. */

import { assert, required } from '../base/assert.ts'

/** Where a value is; means something only to its arena, and together with the value's length. */
export type Address = number

const SLAB_BYTES = 65_536
const GRAIN_BYTES = 16
/** Slots are cut to size up to here; a larger value has a slab of its own. */
const LARGEST_SLOT_BYTES = 16_384
/** More than any slab has: an address is a slab's number times this, and a slot. */
const ADDRESS_SLOTS = SLAB_BYTES / GRAIN_BYTES

/** Sizes of slots: by steps of 16 bytes up to 256, then by a quarter. */
const SLOT_BYTES: readonly number[] = makeSlotSizes()
/** The class of a value by its length in grains, rounded up. */
const CLASSES: Uint8Array = makeClasses()

/** A buffer cut into slots of one size. */
interface Slab {
  readonly bytes: Uint8Array
  readonly slotBytes: number
  /** How many slots, from the first, have ever been used. */
  used: number
  /** Slots that are free again. */
  readonly free: number[]
}

/**
 * A slab allocator (Bonwick 1994): freed slots serve values of about the same size, and an empty slab is given back. A
 * value takes at most a quarter more than its length, or 15 bytes.
 *
 * Invariant: a class's `open` list holds its slabs with a free slot.
 */
export class ValueArena {
  readonly #slabs: (Slab | undefined)[] = []
  readonly #open: number[][] = SLOT_BYTES.map(() => [])
  /** Numbers of slabs that were given back. */
  readonly #vacant: number[] = []

  /** Bytes of all slabs. */
  get size(): number {
    return this.#slabs.reduce((sum, slab) => sum + (slab?.bytes.length ?? 0), 0)
  }

  /** Copies a value into the arena. */
  put(value: Uint8Array): Address {
    const number = this.#slabFor(value.length)
    const slab = this.#slab(number)
    const slot = slab.free.pop() ?? slab.used++
    if (isFull(slab) && value.length <= LARGEST_SLOT_BYTES) this.#open[classOf(value.length)]?.pop()
    slab.bytes.set(value, slot * slab.slotBytes)
    return number * ADDRESS_SLOTS + slot
  }

  /** Puts a value where another was, or elsewhere when it does not fit there. */
  replace(address: Address, length: number, value: Uint8Array): Address {
    if (!fitsAlike(length, value.length)) {
      this.free(address, length)
      return this.put(value)
    }
    const slab = this.#slab(Math.floor(address / ADDRESS_SLOTS))
    slab.bytes.set(value, (address % ADDRESS_SLOTS) * slab.slotBytes)
    return address
  }

  /** A view, good until the value is replaced or freed. */
  view(address: Address, length: number): Uint8Array {
    const slab = this.#slab(Math.floor(address / ADDRESS_SLOTS))
    const start = (address % ADDRESS_SLOTS) * slab.slotBytes
    return slab.bytes.subarray(start, start + length)
  }

  free(address: Address, length: number): void {
    const number = Math.floor(address / ADDRESS_SLOTS)
    const slab = this.#slab(number)
    const open = length > LARGEST_SLOT_BYTES ? undefined : this.#open[classOf(length)]
    if (isFull(slab)) open?.push(number)
    slab.free.push(address % ADDRESS_SLOTS)
    // The last slab of a class stays, so that a value which comes and goes does not allocate each time.
    const isSpare = slab.free.length === slab.used && open?.length !== 1
    if (!isSpare) return
    open?.splice(open.indexOf(number), 1)
    this.#slabs[number] = undefined
    this.#vacant.push(number)
  }

  #slabFor(length: number): number {
    if (length > LARGEST_SLOT_BYTES) return this.#add(length, length)
    const size = classOf(length)
    const open = required(this.#open[size], 'the slabs of a class')
    if (open.length === 0) {
      const slotBytes = SLOT_BYTES[size] ?? 0
      open.push(this.#add(slotBytes, SLAB_BYTES - (SLAB_BYTES % slotBytes)))
    }
    return open.at(-1) ?? 0
  }

  #add(slotBytes: number, bytes: number): number {
    const number = this.#vacant.pop() ?? this.#slabs.length
    this.#slabs[number] = { bytes: new Uint8Array(bytes), slotBytes, used: 0, free: [] }
    return number
  }

  #slab(number: number): Slab {
    const slab = this.#slabs[number]
    assert(slab !== undefined, 'an address is of a slab that is there')
    return slab
  }
}

function isFull(slab: Slab): boolean {
  return slab.free.length === 0 && (slab.used + 1) * slab.slotBytes > slab.bytes.length
}

function classOf(length: number): number {
  return CLASSES[(length + GRAIN_BYTES - 1) >>> 4] ?? 0
}

function fitsAlike(a: number, b: number): boolean {
  if (a > LARGEST_SLOT_BYTES || b > LARGEST_SLOT_BYTES) return a === b
  return classOf(a) === classOf(b)
}

function makeSlotSizes(): readonly number[] {
  const sizes: number[] = []
  for (let size = GRAIN_BYTES; size < LARGEST_SLOT_BYTES; ) {
    sizes.push(size)
    const step = size < 256 ? GRAIN_BYTES : size / 4
    size = Math.ceil((size + step) / GRAIN_BYTES) * GRAIN_BYTES
  }
  return [...sizes, LARGEST_SLOT_BYTES]
}

function makeClasses(): Uint8Array {
  const grains = LARGEST_SLOT_BYTES / GRAIN_BYTES
  return Uint8Array.from({ length: grains + 1 }, (_, grain) =>
    SLOT_BYTES.findIndex((size) => size >= grain * GRAIN_BYTES),
  )
}

/** An arena keeps many small values in few large buffers: a buffer for each costs more to allocate than to fill. */

import { assert, required } from '../base/assert.ts'
import { lastingBytes } from '../base/lasting.ts'

/** Where a value is, in 31 bits; means something only to its arena, and together with the value's length. */
export type Address = number

/** The slabs of a class double from the first to the last of these, so that an arena of a few values is small. */
const FIRST_SLAB_BYTES = 4096
const SLAB_BYTES = 65_536
const GRAIN_BYTES = 16
/** Slots are cut to size up to here; a larger value has a slab of its own. */
const LARGEST_SLOT_BYTES = 16_384
/** An address is a slab's number above this many bits, which hold a slot: no slab has more slots. */
const SLOT_BITS = 12
const SLOT_MASK: number = (1 << SLOT_BITS) - 1
const SLABS_LIMIT: number = 2 ** (31 - SLOT_BITS)

/** Sizes of slots: by an eighth, in steps of at least 16 bytes. */
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
 * value takes at most an eighth more than its length, or 15 bytes.
 *
 * Invariant: a class's `open` list holds its slabs with a free slot.
 */
export class ValueArena {
  readonly #slabs: (Slab | undefined)[] = []
  readonly #open: number[][] = SLOT_BYTES.map(() => [])
  /** How large the next slab of each class will be. */
  readonly #nextBytes: number[] = SLOT_BYTES.map((slotBytes) => Math.max(slotBytes, FIRST_SLAB_BYTES))
  /** Numbers of slabs that were given back. */
  readonly #vacant: number[] = []

  /** Bytes of all slabs. */
  get size(): number {
    return this.#slabs.reduce((sum, slab) => sum + (slab?.bytes.length ?? 0), 0)
  }

  /** Copies a value into the arena. */
  put(value: Uint8Array): Address {
    const address = this.allocate(value.length)
    this.bytesAt(address).set(value, this.startOf(address))
    return address
  }

  /** Room for a value, to be written through `bytesAt`; it holds whatever was there before. */
  allocate(length: number): Address {
    const number = this.#slabFor(length)
    const slab = this.#slab(number)
    const slot = slab.free.pop() ?? slab.used++
    if (isFull(slab) && length <= LARGEST_SLOT_BYTES) this.#open[classOf(length)]?.pop()
    return (number << SLOT_BITS) | slot
  }

  /** Puts a value where another was, or elsewhere when it does not fit there. */
  replace(address: Address, length: number, value: Uint8Array): Address {
    if (!this.fits(length, value.length)) {
      this.free(address, length)
      return this.put(value)
    }
    this.bytesAt(address).set(value, this.startOf(address))
    return address
  }

  /** Whether a value of `length` bytes may take the place of one of `present` bytes. */
  fits(present: number, length: number): boolean {
    if (present > LARGEST_SLOT_BYTES || length > LARGEST_SLOT_BYTES) return present === length
    return classOf(present) === classOf(length)
  }

  /** What the value at this address lies in, among others; it begins at `startOf`. */
  bytesAt(address: Address): Uint8Array {
    return this.#slab(address >>> SLOT_BITS).bytes
  }

  startOf(address: Address): number {
    return (address & SLOT_MASK) * this.#slab(address >>> SLOT_BITS).slotBytes
  }

  /** A view, good until the value is replaced or freed. */
  view(address: Address, length: number): Uint8Array {
    const start = this.startOf(address)
    return this.bytesAt(address).subarray(start, start + length)
  }

  free(address: Address, length: number): void {
    const number = address >>> SLOT_BITS
    const slab = this.#slab(number)
    const open = length > LARGEST_SLOT_BYTES ? undefined : this.#open[classOf(length)]
    if (isFull(slab)) open?.push(number)
    slab.free.push(address & SLOT_MASK)
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
      const bytes = this.#nextBytes[size] ?? 0
      this.#nextBytes[size] = Math.min(2 * bytes, SLAB_BYTES)
      open.push(this.#add(slotBytes, bytes - (bytes % slotBytes)))
    }
    return open[open.length - 1] ?? 0
  }

  #add(slotBytes: number, bytes: number): number {
    const number = this.#vacant.pop() ?? this.#slabs.length
    assert(number < SLABS_LIMIT, 'an arena is smaller than 32 GiB')
    this.#slabs[number] = { bytes: lastingBytes(bytes), slotBytes, used: 0, free: [] }
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

function makeSlotSizes(): readonly number[] {
  const sizes: number[] = []
  for (let size = GRAIN_BYTES; size < LARGEST_SLOT_BYTES; ) {
    sizes.push(size)
    const step = Math.max(GRAIN_BYTES, 2 ** Math.floor(Math.log2(size / 8)))
    size += step
  }
  return [...sizes, LARGEST_SLOT_BYTES]
}

function makeClasses(): Uint8Array {
  const grains = LARGEST_SLOT_BYTES / GRAIN_BYTES
  return Uint8Array.from({ length: grains + 1 }, (_, grain) =>
    SLOT_BYTES.findIndex((size) => size >= grain * GRAIN_BYTES),
  )
}

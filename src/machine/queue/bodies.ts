/** A body store keeps the bytes of the messages of a shard, apart from what orders them. */

import { type Address, ValueArena } from '../value-arena.ts'

/** Nothing beyond this interface may assume that bodies are in memory. */
export interface BodyStore {
  /** Copies a body. */
  put(body: Uint8Array): Address
  /** A view, good until the next change. */
  get(address: Address, length: number): Uint8Array
  delete(address: Address, length: number): void
  /** Until as many calls of `thaw`, deleted bodies can still be read. */
  freeze(): void
  thaw(): void
}

export class MemoryBodies implements BodyStore {
  readonly #arena: ValueArena = new ValueArena()
  /** Address and length of what was deleted while frozen. */
  #departed: number[] = []
  #frozen = 0

  put(body: Uint8Array): Address {
    return this.#arena.put(body)
  }

  get(address: Address, length: number): Uint8Array {
    return this.#arena.view(address, length)
  }

  delete(address: Address, length: number): void {
    if (this.#frozen > 0) this.#departed.push(address, length)
    else this.#arena.free(address, length)
  }

  freeze(): void {
    this.#frozen++
  }

  thaw(): void {
    this.#frozen--
    if (this.#frozen > 0) return
    const departed = this.#departed
    this.#departed = []
    for (let at = 0; at < departed.length; at += 2) this.#arena.free(departed[at] ?? 0, departed[at + 1] ?? 0)
  }
}

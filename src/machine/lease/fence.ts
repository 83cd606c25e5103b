/** A fence keeps out whoever holds an older token than one that has been seen. */

import type { LeaderMicros } from '../batch.ts'

/** The order of forgetting is by time to this precision. */
const TOUCH_MICROS: LeaderMicros = 1_000_000
/** A name that is not used for a day may be forgotten. */
const KEEP_MICROS: LeaderMicros = 86_400_000_000 + TOUCH_MICROS
const NAMES = 65_536

/**
 * The highest tokens that were seen in a shard, by name.
 *
 * Invariant: names are in the order in which they were last used.
 */
export class Fences {
  readonly #limit: number
  readonly #seen: Map<string, { token: number; touched: LeaderMicros }> = new Map()

  /** @param limit most names, exceeded only by parts of one transaction */
  constructor(limit: number = NAMES) {
    this.#limit = limit
  }

  get all(): Iterable<readonly [string, { readonly token: number; readonly touched: LeaderMicros }]> {
    return this.#seen
  }

  /** The highest token of a name; 0 when none has been seen. */
  highest(name: string): number {
    return this.#seen.get(name)?.token ?? 0
  }

  /** Whether one name more can be kept without forgetting another too early. */
  hasRoom(name: string, time: LeaderMicros): boolean {
    if (this.#seen.size < this.#limit || this.#seen.has(name)) return true
    for (const { touched } of this.#seen.values()) return time - touched >= KEEP_MICROS
    return true
  }

  see(name: string, token: number, time: LeaderMicros): void {
    const known = this.#seen.get(name)
    if (known === undefined) {
      this.#forget(time)
      this.load(name, token, time)
      return
    }
    known.token = Math.max(known.token, token)
    if (time - known.touched < TOUCH_MICROS) return
    known.touched = time
    this.#seen.delete(name)
    this.#seen.set(name, known)
  }

  load(name: string, token: number, touched: LeaderMicros): void {
    this.#seen.set(name, { token, touched })
  }

  #forget(time: LeaderMicros): void {
    for (const [name, { touched }] of this.#seen) {
      if (this.#seen.size < this.#limit || time - touched < KEEP_MICROS) return
      this.#seen.delete(name)
    }
  }
}

/** A spread gives what has no key of its own a place: one for all of a turn, so that they share a batch, and the next one for the next. */

import type { Scheduler } from '../../base/time.ts'

/** More of one turn go on to the next place, so that a great many at once use all of them (the sticky partitioner of Kafka, KIP-480). */
const MOST_IN_A_ROW = 256

export class Spread {
  readonly #scheduler: Scheduler
  #place = 0
  /** What may still go to the place during this turn; 0 when a turn begins. */
  #left = 0
  #isEnding = false
  readonly #turnEnded = (): void => {
    this.#left = 0
    this.#isEnding = false
  }

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler
  }

  /** One of so many places, counted from 0. */
  among(places: number): number {
    if (this.#left === 0) {
      this.#place += 1
      this.#left = MOST_IN_A_ROW
      if (!this.#isEnding) this.#scheduler.defer(this.#turnEnded)
      this.#isEnding = true
    }
    this.#left -= 1
    return this.#place % Math.max(1, places)
  }
}

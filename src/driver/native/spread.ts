/** A spread gives what has no key of its own a place: one for all of a turn, so that they share a batch, and the next one for the next. */

import type { Scheduler } from '../../base/time.ts'

/** More of one turn go on to the next place, so that a great many at once use all of them (the sticky partitioner of Kafka, KIP-480). */
const MOST_IN_A_ROW = 256

export class Spread {
  readonly #scheduler: Scheduler
  #place = 0
  #inARow = Number.POSITIVE_INFINITY
  #inTurn = 0
  readonly #turnEnded = (): void => {
    if (this.#inTurn > 1) this.#inARow = Number.POSITIVE_INFINITY
    this.#inTurn = 0
  }

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler
  }

  /**
   * One of so many places, counted from 0.
   *
   * @param alone how many may go to one place that come one at a time, each in a turn of its own; what a place needs
   *   for the next is then still in the processor's caches
   */
  among(places: number, alone = 1): number {
    if (this.#inTurn === 0) this.#scheduler.defer(this.#turnEnded)
    if (this.#inARow >= (this.#inTurn === 0 ? alone : MOST_IN_A_ROW)) {
      this.#place += 1
      this.#inARow = 0
    }
    this.#inTurn += 1
    this.#inARow += 1
    return this.#place % Math.max(1, places)
  }
}

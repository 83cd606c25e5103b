/** Leader time is the one time of a group: microseconds that its leader puts on each batch, near the calendar but safe from its steps. */

import type { Clock, Millis } from '../base/time.ts'
import type { LeaderMicros } from '../machine/batch.ts'

/** Differences up to this are only slewed away. */
const STEP_MS: Millis = 1000
/** A calendar that has been ahead for this long is believed. */
const TRUST_MS: Millis = 600_000
/** While it differs from the calendar, leader time goes this much faster or slower. */
const SLEW = 1 / 256

/**
 * Every replica carries the time on by its monotonic clock from the batches that it applies, so that the next leader
 * goes on where the last one was, whatever their calendars say. A calendar counts at once only on a node that has not
 * heard a leader since it started. Otherwise the time is slewed towards it; a calendar that is ahead by more than a
 * second is adopted when it has stayed so for ten minutes, one that is behind never (time waits for it, by going
 * slower).
 *
 * A batch tells the time when it was proposed. One that was there before this replica came into touch with the leader
 * may be of any age, and does not count as having heard it.
 */
export class LeaderTime {
  readonly #clock: Clock
  #at: Millis
  #time: Millis
  /** A leader has been heard, or this node has led. */
  #isSure = false
  /** Since when this leader has seen its calendar ahead. */
  #aheadSince: Millis | undefined
  /** The last time that this node put on a batch. */
  #issued: LeaderMicros = 0

  constructor(clock: Clock, applied: LeaderMicros) {
    this.#clock = clock
    this.#at = clock.now()
    this.#time = applied / 1000
  }

  /** A batch with this time was applied; `isCurrent` when the present leader proposed it a moment ago. */
  observe(time: LeaderMicros, isCurrent: boolean): void {
    this.#time = Math.max(this.#carried(), time / 1000)
    this.#at = this.#clock.now()
    if (isCurrent) this.#isSure = true
    // Somebody else has led meanwhile: the ten minutes begin again with the next time that this node does.
    if (time > this.#issued) this.#aheadSince = undefined
  }

  /** The time for the next batch; only the leader asks. */
  next(): LeaderMicros {
    const now = this.#clock.now()
    const carried = this.#carried()
    const difference = this.#clock.wallTime() - carried
    const slew = Math.min(Math.abs(difference), (now - this.#at) * SLEW) * Math.sign(difference)
    this.#time = this.#believes(difference, now) ? carried + difference : Math.max(this.#time, carried + slew)
    this.#at = now
    this.#isSure = true
    this.#issued = Math.floor(this.#time * 1000)
    return this.#issued
  }

  /** The time now, as far as this replica knows; asking changes nothing. */
  now(): LeaderMicros {
    return Math.floor(this.#carried() * 1000)
  }

  /** On the monotonic clock: when `due` will have come even if time goes as slowly as it may. */
  when(due: LeaderMicros): Millis {
    return this.#clock.now() + Math.max(0, due / 1000 - this.#carried()) / (1 - SLEW)
  }

  #believes(difference: Millis, now: Millis): boolean {
    if (!this.#isSure) return difference > 0
    if (difference <= STEP_MS) {
      this.#aheadSince = undefined
      return false
    }
    this.#aheadSince ??= now
    return now - this.#aheadSince >= TRUST_MS
  }

  #carried(): Millis {
    return this.#time + this.#clock.now() - this.#at
  }
}

/** A vigil is the time for which a thread stays awake after it has said something, because the answer is likely to come soon. */

import type { Millis } from '../base/time.ts'

/** Where answers take longer, waking the thread is a small part of it. */
const LONGEST: Millis = 0.5
/** A vigil ends at so many times its usual length. */
const PATIENCE = 4
/** One that does not save this part of the waiting is not worth its processor time. */
const SAVED = 0.1
/** Each time in so many is tried the other way, to see whether that has become better. */
const TRIED_EVERY = 128
/** So many waitings make what is usual; of what is only tried now and then fewer do, or it would take long to notice. */
const LATELY = 32
const LATELY_TRIED = 8

/** Decides each time whether to stay awake, by how long the waiting was lately when it did and when it did not. */
export class Vigil {
  readonly #asleep = new Usual()
  readonly #awake = new Usual()
  #since: Millis = 0
  #isWaiting = false
  #isAwake = false
  #isTrial = false
  #count = 0

  /** Something was said. Whether to stay awake; false too while an earlier answer is awaited. */
  begin(now: Millis): boolean {
    if (this.#isWaiting && !this.isOver(now)) return false
    // Not everything is answered.
    this.end(now)
    this.#isWaiting = true
    this.#since = now
    this.#count++
    const isPossible = this.#asleep.isKnown && this.#asleep.wait <= LONGEST
    const pays = !this.#awake.isKnown || this.#awake.wait < (1 - SAVED) * this.#asleep.wait
    this.#isTrial = this.#count % TRIED_EVERY === 0
    this.#isAwake = isPossible && pays !== this.#isTrial
    return this.#isAwake
  }

  /** The answer takes unusually long: sleep until it wakes the thread. */
  isOver(now: Millis): boolean {
    const patience = this.#awake.isKnown ? PATIENCE * this.#awake.wait : LONGEST
    return now - this.#since > Math.min(LONGEST, patience)
  }

  /** Something was heard. */
  end(now: Millis): void {
    if (!this.#isWaiting) return
    this.#isWaiting = false
    const usual = this.#isAwake ? this.#awake : this.#asleep
    usual.add(now - this.#since, this.#isTrial ? LATELY_TRIED : LATELY)
  }
}

/** How long waiting has been lately: the median, so that a pause of the disk or of a collector counts once, however long it was. */
class Usual {
  wait: Millis = 0
  #count = 0

  get isKnown(): boolean {
    return this.#count === LATELY
  }

  /** Goes up or down by the same part whether the waiting was a little longer or much, and so settles where both are as frequent. */
  add(waited: Millis, lately: number): void {
    if (!this.isKnown) this.#count++
    const step = this.wait / Math.min(this.#count, lately)
    if (this.#count === 1) this.wait = waited
    else this.wait += waited > this.wait ? step : -step
    this.wait = Math.min(this.wait, 2 * LONGEST)
  }
}

/** A vigil is the time for which a thread stays awake after it has said something, because the answer is likely to come soon. */

import type { Millis } from '../base/time.ts'

/** Where answers take longer, waking the thread is a small part of it. */
const LONGEST: Millis = 0.5
/** A vigil ends at so many times its usual length. */
const PATIENCE = 4
/** One that does not save this part of the waiting is not worth its processor time. */
const SAVED = 0.1
/** One trial shows no more than this. */
const MOST_SAVED = 0.25
/** Once in so many times is a trial of the other way, to see whether that has become better; the first ones come sooner. */
const TRIED_EVERY = 256
const FIRST_TRIED_EVERY = 8
/** So many waitings, and so many trials, make what is usual. */
const LATELY = 32
const TRIALS_LATELY = 8
/** What is usual is never nothing: it changes by a part of itself. */
const SHORTEST: Millis = 0.001

/**
 * Decides each time whether to stay awake, by how much sooner answers came lately when it did. A trial is compared with what
 * is usual at that moment: when the disk has become slower since the last one, all waiting is longer, whichever way it is done.
 */
export class Vigil {
  /** How long waiting is usually, in the way it is done now. */
  #usual: Millis = 0
  #count = 0
  #isUsuallyAwake = false
  /** How much longer it is asleep. */
  #saved: Millis = 0
  #trials = 0
  #untilTrial = LATELY
  #since: Millis = 0
  #isWaiting = false
  #isTrial = false
  /** This waiting is part of a trial, and not of one that the other thread asked for. */
  isTrying = false
  /** A trial is two waitings in a row: during the first the threads find their processors. */
  #isCompared = false

  /**
   * Something was said. Whether to stay awake; false too while an earlier answer is awaited.
   *
   * @param isAsked the other thread stays awake for a trial, which shows little unless this one does, too
   */
  begin(now: Millis, isAsked = false): boolean {
    if (this.#isWaiting && !this.isOver(now)) return false
    // Not everything is answered.
    this.end(now)
    this.#isWaiting = true
    this.#since = now
    const left = this.#untilTrial
    this.#untilTrial = left > 0 ? left - 1 : this.#trials < TRIALS_LATELY ? FIRST_TRIED_EVERY : TRIED_EVERY
    const mayTry = this.#usual <= LONGEST
    this.isTrying = mayTry && left <= 1
    this.#isTrial = this.isTrying || (mayTry && isAsked && !this.#isUsuallyAwake)
    this.#isCompared = left === 0 || !this.isTrying
    return this.#isUsuallyAwake !== this.#isTrial
  }

  /** The answer takes unusually long: sleep until it wakes the thread. */
  isOver(now: Millis): boolean {
    const patience = this.#count < LATELY ? LONGEST : PATIENCE * this.#usual
    return now - this.#since > Math.min(LONGEST, patience)
  }

  /** Something was heard. */
  end(now: Millis): void {
    if (!this.#isWaiting) return
    this.#isWaiting = false
    if (!this.#isTrial) this.#waited(now - this.#since)
    else if (this.#isCompared) this.#tried(now - this.#since)
    const pays = this.#saved > SAVED * this.#usual && this.#usual <= LONGEST
    if (pays === this.#isUsuallyAwake) return
    this.#isUsuallyAwake = pays
    this.#usual = Math.max(SHORTEST, this.#usual + (pays ? -this.#saved : this.#saved))
  }

  /** The median: up or down by the same part, whether the waiting was a little longer or, in a pause of the disk, very much. */
  #waited(wait: Millis): void {
    if (this.#count < LATELY) this.#count++
    const step = this.#usual / this.#count
    if (this.#count === 1) this.#usual = wait
    else this.#usual += wait > this.#usual ? step : -step
    this.#usual = Math.max(SHORTEST, Math.min(this.#usual, 2 * LONGEST))
  }

  /** The mean, in which none counts much: in a trial, too, the disk may pause. */
  #tried(wait: Millis): void {
    if (this.#trials < TRIALS_LATELY) this.#trials++
    const most = MOST_SAVED * this.#usual
    const longer = Math.max(-most, Math.min(wait - this.#usual, most))
    const saved = this.#isUsuallyAwake ? longer : -longer
    this.#saved += (saved - this.#saved) / this.#trials
  }
}

/** A vigil is the time for which a thread stays awake after it has said something, because the answer is likely to come soon. */

import type { Millis } from '../base/time.ts'

/** Where answers take longer, waking the thread is a small part of it. */
const LONGEST: Millis = 0.5
/**
 * What it costs both threads when one has fallen asleep too soon: to wait awake for as long costs at most twice as much
 * as knowing better (Karlin and others, SOSP 1991).
 */
const WAKING: Millis = 0.15
/** Waiting awake is not worth its processor time if it does not save this part of the waiting. */
const SAVED = 0.1
/** So many waitings show what is usual: their median does not count the pauses of a disk. */
const SAMPLE = 32
/** So many waitings go by between two comparisons, and twice as many each time that nothing has changed. */
const SHORTEST_REST = 256
const LONGEST_REST = 4096
/** After so many vigils in a row that were in vain it is time for a comparison. */
const IN_VAIN = 16

export interface Vigil {
  /** Something was said. Whether to look for the answer; false too while an earlier one is looked for. */
  begin(now: Millis): boolean
  /** The answer takes unusually long: sleep until it wakes the thread. */
  isOver(now: Millis): boolean
  /** Something was heard. */
  end(now: Millis): void
}

/**
 * The vigil of the thread that asks: whether it pays for both threads to stay awake. From time to time it compares a
 * sample of waitings in the way that was better so far with one in the other way right after it: when the disk has
 * become slower, it has for both.
 */
export class AskersVigil implements Vigil {
  #isAwakeBetter = true
  #rest = SHORTEST_REST
  /** Waitings since the comparison began: the better way, the other one, then the rest. */
  #count = 0
  readonly #sample = new Float64Array(2 * SAMPLE)
  #inVain = 0
  #since: Millis = 0
  #isWaiting = false
  readonly #tell: (isAwake: boolean) => void

  /** @param tell the thread that answers which way it is now */
  constructor(tell: (isAwake: boolean) => void) {
    this.#tell = tell
    tell(this.#isAwake)
  }

  get #isAwake(): boolean {
    const isOtherWay = this.#count >= SAMPLE && this.#count < 2 * SAMPLE
    return this.#isAwakeBetter !== isOtherWay
  }

  begin(now: Millis): boolean {
    if (this.#isWaiting && !this.isOver(now)) return false
    // The last question may have had no answer.
    this.end(now)
    this.#isWaiting = true
    this.#since = now
    return this.#isAwake
  }

  isOver(now: Millis): boolean {
    return now - this.#since > LONGEST
  }

  end(now: Millis): void {
    if (!this.#isWaiting) return
    this.#isWaiting = false
    if (this.#count < 2 * SAMPLE) this.#sample[this.#count] = now - this.#since
    else this.#inVain = this.#isAwake && this.isOver(now) ? this.#inVain + 1 : 0
    this.#count++
    if (this.#count === 2 * SAMPLE) this.#compare()
    if (this.#count === 2 * SAMPLE + this.#rest || this.#inVain === IN_VAIN) this.#startComparison()
    if (this.#count <= 2 * SAMPLE && this.#count % SAMPLE === 0) this.#tell(this.#isAwake)
  }

  #startComparison(): void {
    this.#count = 0
    this.#inVain = 0
  }

  #compare(): void {
    const better = median(this.#sample.subarray(0, SAMPLE))
    const other = median(this.#sample.subarray(SAMPLE))
    const [awake, asleep] = this.#isAwakeBetter ? [better, other] : [other, better]
    const isAwakeBetter = awake <= LONGEST && awake < (1 - SAVED) * asleep
    this.#rest = isAwakeBetter === this.#isAwakeBetter ? Math.min(2 * this.#rest, LONGEST_REST) : SHORTEST_REST
    this.#isAwakeBetter = isAwakeBetter
  }
}

/** The vigil of the thread that answers, for the next question: for a short time, and only while the other one stays awake, too. */
export class AnswerersVigil implements Vigil {
  readonly #isAskerAwake: () => boolean
  #since: Millis = 0

  constructor(isAskerAwake: () => boolean) {
    this.#isAskerAwake = isAskerAwake
  }

  begin(now: Millis): boolean {
    this.#since = now
    return this.#isAskerAwake()
  }

  isOver(now: Millis): boolean {
    return now - this.#since > WAKING
  }

  end(): void {}
}

function median(values: Float64Array): number {
  return values.sort()[values.length / 2] ?? 0
}

/** A session numbers the writes of one driver in one group, so that a write which is sent twice happens once. */

import type { SessionId } from '../../../base/identity.ts'
import { type Random, randomId } from '../../../base/random.ts'

/** Writes of one session from the oldest unanswered on; a machine takes twice as many. */
const SESSION_WINDOW = 2048

/**
 * Invariant: every sequence below `#lowest` is settled, and `#settled` holds those above it.
 */
export class Session {
  readonly id: SessionId
  #last = 0
  #lowest = 1
  readonly #settled = new Set<number>()
  /** The machine has answered a command of it, so it exists there. */
  #isKnown = false
  /** New writes need another one: the machine has forgotten it, or must remember a reply of it that nobody took. */
  isRetired = false

  constructor(random: Random) {
    this.id = randomId(random) as SessionId
  }

  /** Whether the next write would leave the machine too much to remember. */
  get isFull(): boolean {
    return this.#last - this.#lowest >= SESSION_WINDOW
  }

  nextSequence(): number {
    this.#last++
    return this.#last
  }

  /**
   * Every sequence below has been settled. It stays 1 until the machine is known to have opened the session, for that
   * is what tells the machine that an unknown session is new and not forgotten.
   */
  get acknowledged(): number {
    return this.#isKnown ? this.#lowest : 1
  }

  answered(): void {
    this.#isKnown = true
  }

  /** Nobody will send this sequence again or ask about it. */
  settle(sequence: number): void {
    if (sequence !== this.#lowest) {
      this.#settled.add(sequence)
      return
    }
    this.#lowest++
    while (this.#settled.size > 0 && this.#settled.delete(this.#lowest)) this.#lowest++
  }
}

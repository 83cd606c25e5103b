/** A backoff waits longer each time before something is tried again, and not as long as others do. */

import type { Random } from '../../../base/random.ts'
import type { Clock, Millis, Scheduler, Timer } from '../../../base/time.ts'

const FIRST_PAUSE_MS: Millis = 10
const LONGEST_PAUSE_MS: Millis = 200
/** Enough doublings for the longest. */
const MOST_DOUBLINGS = 10

export interface BackoffPorts {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly random: Random
}

export class Backoff {
  readonly #ports: BackoffPorts
  #timer: Timer | undefined
  #doublings = 0

  constructor(ports: BackoffPorts) {
    this.#ports = ports
  }

  /** Calls `attempt` after a pause; while one is under way nothing more. */
  retry(attempt: () => void): void {
    if (this.#timer !== undefined) return
    const { clock, scheduler, random } = this.#ports
    const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#doublings)
    this.#doublings = Math.min(this.#doublings + 1, MOST_DOUBLINGS)
    this.#timer = scheduler.at(clock.now() + longest * (0.5 + random.next() / 2), () => {
      this.#timer = undefined
      attempt()
    })
  }

  /** It has succeeded: the next pause is the first again. */
  reset(): void {
    this.#doublings = 0
  }

  /** Ends a pause without an attempt. */
  cancel(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }
}

/** A due timer has the leader of a group act when something in its machine falls due. */

import type { Clock, Millis, Scheduler, Timer } from '../../base/time.ts'
import type { LeaderMicros } from '../../machine/batch.ts'
import type { LeaderTime } from '../leader-time.ts'

/** No two batches for what is due within this. */
const LEAST_PAUSE_MS: Millis = 1
/** Operating systems have no timers for years. */
const LONGEST_PAUSE_MS: Millis = 3_600_000

export interface TimerPorts {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly time: LeaderTime
}

export class DueTimer {
  readonly #ports: TimerPorts
  readonly #due: () => void
  readonly #fire = (): void => this.#check()
  #timer: Timer | undefined
  #dueAt: LeaderMicros = Number.POSITIVE_INFINITY

  constructor(ports: TimerPorts, due: () => void) {
    this.#ports = ports
    this.#due = due
  }

  /** Calls back once when leader time has reached `dueAt`, instead of what was set before; Infinity for never. */
  set(dueAt: LeaderMicros): void {
    if (dueAt === this.#dueAt && (this.#timer !== undefined || dueAt === Number.POSITIVE_INFINITY)) return
    this.#timer?.cancel()
    this.#timer = undefined
    this.#dueAt = dueAt
    if (dueAt === Number.POSITIVE_INFINITY) return
    const { clock, scheduler, time } = this.#ports
    const pause = Math.min(LONGEST_PAUSE_MS, Math.max(LEAST_PAUSE_MS, time.when(dueAt) - clock.now()))
    this.#timer = scheduler.at(clock.now() + pause, this.#fire)
  }

  /** Leader time may have been slewed since the timer was set, or it was set for a part of the way. */
  #check(): void {
    const { clock, time } = this.#ports
    this.#timer = undefined
    if (time.when(this.#dueAt) > clock.now()) this.set(this.#dueAt)
    else this.#due()
  }
}

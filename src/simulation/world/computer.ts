/** A computer is where a node or an application runs: its clocks may be wrong, it may stall, and it may lose its power. */

import type { Clock, Millis, Scheduler, Timer, WallMillis } from '../../base/time.ts'
import { EPOCH, type EventOwner, type EventQueue } from './event-queue.ts'

export class Computer implements Clock, Scheduler, EventOwner {
  readonly name: string
  /** What runs here uses promises: the world waits for them after each event. */
  hasPromises = false
  /** How often it has stalled. */
  pauses = 0
  readonly #queue: EventQueue
  /** Seconds of its own in a true second. */
  readonly #rate: number
  #wallOffset: Millis = 0
  /** What became due during a pause; undefined while running. */
  #held: (() => void)[] | undefined
  #isOff = false
  #busyUntil: Millis = 0

  constructor(queue: EventQueue, name: string, rate = 1) {
    this.name = name
    this.#queue = queue
    this.#rate = rate
  }

  get isOff(): boolean {
    return this.#isOff
  }

  get isPaused(): boolean {
    return this.#held !== undefined
  }

  /** In true time: later than the world's while its one thread has stood still and does not know yet what happened meanwhile. */
  get trueNow(): Millis {
    return Math.max(this.#queue.now(), this.#busyUntil)
  }

  get busyUntil(): Millis {
    return this.#busyUntil
  }

  now(): Millis {
    return this.trueNow * this.#rate
  }

  wallTime(): WallMillis {
    const now = this.trueNow
    return EPOCH + now + now * (this.#rate - 1) + this.#wallOffset
  }

  at(at: Millis, task: () => void): Timer {
    let due = at / this.#rate
    // Rounding must not let a timer fire before its time.
    while (due * this.#rate < at) due *= 1 + Number.EPSILON
    return this.#queue.schedule(due, task, this)
  }

  defer(task: () => void): void {
    this.#queue.scheduleDeferred(task, this)
  }

  /** Runs `task` here at a point of true time. */
  atTrue(at: Millis, task: () => void): Timer {
    return this.#queue.schedule(at, task, this)
  }

  /** The task that runs here now waits for so long, as for a device: it goes on later, and everything else here after it. */
  standStill(forMs: Millis): void {
    this.#busyUntil = this.trueNow + forMs
  }

  /** Somebody sets the calendar; the monotonic clock is untouched. */
  stepWall(by: Millis): void {
    this.#wallOffset += by
  }

  /** Nothing runs until `resume`, while time goes on: SIGSTOP, a stalled virtual machine, a long garbage collection. */
  pause(): void {
    if (this.isPaused) return
    this.#held = []
    this.pauses++
  }

  /** Everything that became due meanwhile runs now, in order. */
  resume(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const task of held) this.defer(task)
  }

  /** Nothing runs here ever again. */
  powerOff(): void {
    this.#isOff = true
    this.#held = undefined
  }

  admits(task: () => void): boolean {
    if (this.#isOff) return false
    this.#held?.push(task)
    return this.#held === undefined
  }
}

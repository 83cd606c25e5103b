/** Deadlines end operations whose time is over, with one timer for all of them. */

import type { Clock, Millis, Scheduler, Timer } from '../../../base/time.ts'
import type { Operation } from './operation.ts'

/** Operations of one timeout in the order of their deadlines, which is the order in which they came. */
interface Line {
  first: Operation<unknown> | undefined
  last: Operation<unknown> | undefined
}

/**
 * A doubly linked line for each timeout in use: adding and removing cost a few assignments, which suits operations that
 * nearly all finish long before their deadline.
 */
export class Deadlines {
  readonly #clock: Clock
  readonly #scheduler: Scheduler
  readonly #expired: (operation: Operation<unknown>) => void
  readonly #lines = new Map<Millis, Line>()
  readonly #fire = (): void => this.#expire()
  #timer: Timer | undefined
  #firesAt: Millis = Number.POSITIVE_INFINITY

  constructor(clock: Clock, scheduler: Scheduler, expired: (operation: Operation<unknown>) => void) {
    this.#clock = clock
    this.#scheduler = scheduler
    this.#expired = expired
  }

  /** The operation ends after `timeout`, in whole milliseconds so that lines stay few. */
  add(operation: Operation<unknown>, timeout: Millis): void {
    const whole = Math.ceil(timeout)
    const line = this.#line(whole)
    operation.timeout = whole
    operation.deadline = this.#clock.now() + whole
    operation.previous = line.last
    if (line.last === undefined) line.first = operation
    else line.last.next = operation
    line.last = operation
    if (operation.deadline < this.#firesAt) this.#arm(operation.deadline)
  }

  remove(operation: Operation<unknown>): void {
    const line = this.#line(operation.timeout)
    const { previous, next } = operation
    if (previous === undefined) line.first = next
    else previous.next = next
    if (next === undefined) line.last = previous
    else next.previous = previous
    operation.previous = undefined
    operation.next = undefined
  }

  /** All operations, as they are now. */
  operations(): Operation<unknown>[] {
    const all: Operation<unknown>[] = []
    for (const { first } of this.#lines.values()) {
      for (let operation = first; operation !== undefined; operation = operation.next) all.push(operation)
    }
    return all
  }

  stop(): void {
    this.#timer?.cancel()
    this.#firesAt = Number.NEGATIVE_INFINITY
  }

  #line(timeout: Millis): Line {
    const known = this.#lines.get(timeout)
    if (known !== undefined) return known
    const line: Line = { first: undefined, last: undefined }
    this.#lines.set(timeout, line)
    return line
  }

  #arm(at: Millis): void {
    this.#timer?.cancel()
    this.#firesAt = at
    this.#timer = this.#scheduler.at(at, this.#fire)
  }

  /** The timer stands at the earliest deadline there was when it was set; that operation has mostly finished since. */
  #expire(): void {
    const now = this.#clock.now()
    this.#firesAt = Number.POSITIVE_INFINITY
    let earliest = Number.POSITIVE_INFINITY
    for (const [timeout, line] of this.#lines) {
      for (let first = line.first; first !== undefined && first.deadline <= now; first = line.first) {
        this.#expired(first)
      }
      if (line.first === undefined) this.#lines.delete(timeout)
      else earliest = Math.min(earliest, line.first.deadline)
    }
    if (earliest < this.#firesAt) this.#arm(earliest)
  }
}

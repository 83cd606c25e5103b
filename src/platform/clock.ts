/** The real clock is the machine's, and the real scheduler Node's event loop. */

import { performance } from 'node:perf_hooks'
import { clearTimeout, setImmediate, setTimeout } from 'node:timers'
import { type Clock, LONGEST_TIMER_MS, type Millis, type Scheduler, type Timer, type WallMillis } from '../base/time.ts'

/** Where time comes from: Node, or the globals, in the place of which a test may have put its own. */
export type TimeSource = Pick<typeof globalThis, 'clearTimeout' | 'setImmediate' | 'setTimeout'> & {
  readonly performance: Pick<typeof performance, 'now'>
  readonly Date: Pick<DateConstructor, 'now'>
}

/** Time that a test makes stand still does so for its application; an engine and what talks to it have peers, and go on. */
const NODE: TimeSource = Object.freeze({ clearTimeout, setImmediate, setTimeout, performance, Date })

export class RealClock implements Clock {
  readonly #source: TimeSource

  constructor(source: TimeSource = NODE) {
    this.#source = source
  }

  now(): Millis {
    return this.#source.performance.now()
  }

  wallTime(): WallMillis {
    return this.#source.Date.now()
  }
}

class Due implements Timer {
  readonly at: Millis
  /** Undefined once it ran or was cancelled. */
  task: (() => void) | undefined
  readonly #cancelled: () => void

  constructor(at: Millis, task: () => void, cancelled: () => void) {
    this.at = at
    this.task = task
    this.#cancelled = cancelled
  }

  cancel(): void {
    if (this.task === undefined) return
    this.task = undefined
    this.#cancelled()
  }
}

/** Thousands of timers on one of the operating system's: a heap orders them, and only the earliest is armed. */
export class RealScheduler implements Scheduler {
  readonly #clock: Clock
  readonly #source: TimeSource
  #heap: Due[] = []
  #cancelled = 0
  #armed: NodeJS.Timeout | undefined = undefined
  #armedFor: Millis = Number.POSITIVE_INFINITY

  constructor(clock: Clock, source: TimeSource = NODE) {
    this.#clock = clock
    this.#source = source
  }

  at(at: Millis, task: () => void): Timer {
    // Never is never: nothing has to wait for it.
    if (at === Number.POSITIVE_INFINITY) return new Due(at, task, () => {})
    const due = new Due(at, task, () => this.#forget())
    push(this.#heap, due)
    this.#arm()
    return due
  }

  defer(task: () => void): void {
    this.#source.setImmediate(task)
  }

  #arm(): void {
    const earliest = this.#heap[0]?.at ?? Number.POSITIVE_INFINITY
    if (earliest >= this.#armedFor) return
    this.#source.clearTimeout(this.#armed)
    this.#armedFor = earliest
    // Node cuts fractions off; waking early is made good by arming again.
    const delay = Math.min(Math.max(0, Math.ceil(earliest - this.#clock.now())), LONGEST_TIMER_MS)
    this.#armed = this.#source.setTimeout(() => this.#run(), delay)
    this.#armed.unref()
  }

  #run(): void {
    this.#armedFor = Number.POSITIVE_INFINITY
    const now = this.#clock.now()
    try {
      for (let next = this.#heap[0]; next !== undefined && next.at <= now; next = this.#heap[0]) {
        pop(this.#heap)
        const { task } = next
        next.task = undefined
        if (task === undefined) this.#cancelled--
        else task()
      }
    } finally {
      this.#arm()
    }
  }

  /** Cancelled timers leave the heap once they are the greater part of it. */
  #forget(): void {
    this.#cancelled++
    if (this.#cancelled < 64 || this.#cancelled * 2 < this.#heap.length) return
    const pending = this.#heap.filter((due) => due.task !== undefined)
    this.#heap = []
    this.#cancelled = 0
    for (const due of pending) push(this.#heap, due)
  }
}

function push(heap: Due[], due: Due): void {
  let at = heap.length
  heap.push(due)
  while (at > 0) {
    const parent = (at - 1) >> 1
    const above = heap[parent]
    if (above === undefined || above.at <= due.at) break
    heap[at] = above
    at = parent
  }
  heap[at] = due
}

/** Removes the earliest. */
function pop(heap: Due[]): void {
  const last = heap.pop()
  if (last === undefined || heap.length === 0) return
  let at = 0
  for (;;) {
    let child = 2 * at + 1
    const right = heap[child + 1]
    if (right !== undefined && right.at < (heap[child]?.at ?? 0)) child++
    const below = heap[child]
    if (below === undefined || below.at >= last.at) break
    heap[at] = below
    at = child
  }
  heap[at] = last
}

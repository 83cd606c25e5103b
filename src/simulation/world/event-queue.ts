/** The event queue is virtual time itself: nothing happens between two events, so an idle hour passes at once. */

import type { Clock, Millis, Scheduler, Timer, WallMillis } from '../../base/time.ts'

/** The calendar at virtual time 0: 2030-01-01. */
export const EPOCH: WallMillis = 1_893_456_000_000

/** Decides what becomes of a due event; see `Computer`. */
export interface EventOwner {
  /** Returns false to swallow the event, whether for ever or to run it later. */
  admits(task: () => void): boolean
  /** What is due before then waits until then. */
  readonly busyUntil: Millis
}

class Event implements Timer {
  at: Millis
  sequence: number
  readonly owner: EventOwner | undefined
  task: (() => void) | undefined

  constructor(at: Millis, sequence: number, task: () => void, owner: EventOwner | undefined) {
    this.at = at
    this.sequence = sequence
    this.task = task
    this.owner = owner
  }

  cancel(): void {
    this.task = undefined
  }
}

/** Events run in the order of their time; those of one instant in the order in which they were scheduled, deferred ones last. */
export class EventQueue implements Clock, Scheduler {
  /** Whose event ran last; undefined for the world's own. */
  lastOwner: EventOwner | undefined
  /** Events that ran. */
  steps = 0
  #now: Millis = 0
  #sequence = 0
  readonly #heap: Event[] = []
  #deferred: Event[] = []
  #deferredAt = 0

  now(): Millis {
    return this.#now
  }

  wallTime(): WallMillis {
    return EPOCH + this.#now
  }

  at(at: Millis, task: () => void): Timer {
    return this.schedule(at, task, undefined)
  }

  defer(task: () => void): void {
    this.scheduleDeferred(task, undefined)
  }

  /** What is due in the past runs now; Infinity never. */
  schedule(at: Millis, task: () => void, owner: EventOwner | undefined): Timer {
    const event = new Event(Math.max(at, this.#now), this.#sequence++, task, owner)
    if (event.at < Number.POSITIVE_INFINITY) this.#push(event)
    return event
  }

  scheduleDeferred(task: () => void, owner: EventOwner | undefined): void {
    this.#deferred.push(new Event(this.#now, this.#sequence++, task, owner))
  }

  /** Runs the next event that is due up to `until`. Returns false when there is none; then it is `until`. */
  step(until: Millis): boolean {
    for (let event = this.#take(until); event !== undefined; event = this.#take(until)) {
      const { task, owner } = event
      if (task === undefined) continue
      this.#now = event.at
      if (owner !== undefined && owner.busyUntil > this.#now) {
        event.at = owner.busyUntil
        event.sequence = this.#sequence++
        this.#push(event)
        continue
      }
      event.task = undefined
      if (owner !== undefined && !owner.admits(task)) continue
      this.lastOwner = owner
      this.steps++
      task()
      return true
    }
    if (until < Number.POSITIVE_INFINITY) this.#now = Math.max(this.#now, until)
    return false
  }

  #take(until: Millis): Event | undefined {
    const first = this.#heap[0]
    if (first !== undefined && first.at <= this.#now) return this.#pop()
    const deferred = this.#deferred[this.#deferredAt]
    if (deferred !== undefined) {
      if (++this.#deferredAt === this.#deferred.length) {
        this.#deferred = []
        this.#deferredAt = 0
      }
      return deferred
    }
    return first !== undefined && first.at <= until ? this.#pop() : undefined
  }

  #push(event: Event): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(event)
    while (at > 0) {
      const above = (at - 1) >> 1
      const parent = heap[above]
      if (parent === undefined || !precedes(event, parent)) break
      heap[at] = parent
      at = above
    }
    heap[at] = event
  }

  #pop(): Event | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return first
    let at = 0
    for (;;) {
      const child = this.#earlierChild(at)
      const below = heap[child]
      if (below === undefined || !precedes(below, last)) break
      heap[at] = below
      at = child
    }
    heap[at] = last
    return first
  }

  #earlierChild(at: number): number {
    const left = this.#heap[2 * at + 1]
    const right = this.#heap[2 * at + 2]
    return left !== undefined && right !== undefined && precedes(right, left) ? 2 * at + 2 : 2 * at + 1
  }
}

function precedes(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.sequence < b.sequence)
}

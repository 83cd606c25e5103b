/** A deduplication window is the time in which a message's deduplication id belongs to it. */

import { Heap, type HeapEntry } from '../../base/heap.ts'
import type { LeaderMicros } from '../batch.ts'
import type { NewMessage } from './messages.ts'

/** Most windows of a queue; messages that need one more are refused. */
const WINDOWS_LIMIT = 1_000_000

export class Window {
  readonly deduplication: string
  id: number
  /** Infinity: as long as the message lives. */
  until: LeaderMicros
  /** What is sent once the message has ended. Its body is its own copy. */
  successor: NewMessage | undefined
  entry: HeapEntry<Window> | undefined

  constructor(deduplication: string, id: number, until: LeaderMicros) {
    this.deduplication = deduplication
    this.id = id
    this.until = until
  }
}

export class Windows {
  readonly #windows: Map<string, Window> = new Map()
  readonly #due: Heap<Window> = new Heap()

  get isFull(): boolean {
    return this.#windows.size >= WINDOWS_LIMIT
  }

  get dueAt(): LeaderMicros {
    return this.#due.lowest
  }

  get(deduplication: string): Window | undefined {
    return this.#windows.get(deduplication)
  }

  all(): Iterable<Window> {
    return this.#windows.values()
  }

  /** Opens a window in the place of one that the id had. */
  open(deduplication: string, id: number, until: LeaderMicros): Window {
    this.#close(this.#windows.get(deduplication))
    const window = new Window(deduplication, id, until)
    this.#windows.set(deduplication, window)
    if (until !== Number.POSITIVE_INFINITY) window.entry = this.#due.add(window, until)
    return window
  }

  /** The message of a window has ended: returns what is to be sent now. Who is cancelled leaves the id to others. */
  ended(deduplication: string, id: number, isCancelled: boolean): NewMessage | undefined {
    const window = this.#windows.get(deduplication)
    if (window === undefined || window.id !== id) return undefined
    const { successor } = window
    window.successor = undefined
    if (window.until === Number.POSITIVE_INFINITY || successor !== undefined || isCancelled) this.#close(window)
    return successor
  }

  /** Closes what has passed; one whose message is yet to be followed stays with it. */
  advance(time: LeaderMicros): void {
    while (this.#due.lowest <= time) {
      const window = this.#due.take()
      if (window === undefined) return
      window.entry = undefined
      window.until = Number.POSITIVE_INFINITY
      if (window.successor === undefined) this.#close(window)
    }
  }

  #close(window: Window | undefined): void {
    if (window === undefined) return
    if (window.entry !== undefined) this.#due.remove(window.entry)
    this.#windows.delete(window.deduplication)
  }
}

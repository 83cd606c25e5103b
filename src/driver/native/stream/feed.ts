/** A feed is an async iterator that others push items into; it ends when its consumer, its signal or the driver does. */

import type { TroupeError } from '../../../base/error.ts'
import type { Router, Subscriber } from '../route/router.ts'

interface Waiting<Item> {
  readonly resolve: (result: IteratorResult<Item, undefined>) => void
  readonly reject: (error: unknown) => void
}

/** What a feed is filled by. */
export interface Spring {
  /** The consumer asked for the first time. May throw. */
  begin(): void
  /** Called once; nothing is pushed afterwards. A consumer that returns waits for what is still to be done. */
  end(): void | Promise<void>
}

export class Feed<Item> implements AsyncIterator<Item, undefined>, Subscriber {
  readonly #router: Router
  readonly #signal: AbortSignal | undefined
  readonly #spring: Spring
  readonly #aborted = (): void => this.fail(this.#signal?.reason)
  #items: Item[] = []
  #taken = 0
  #waiting: Waiting<Item>[] = []
  #state: 'new' | 'open' | 'ended' = 'new'
  #isFinished = false
  #ending: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined

  constructor(router: Router, signal: AbortSignal | undefined, spring: Spring) {
    this.#router = router
    this.#signal = signal
    this.#spring = spring
  }

  next(): Promise<IteratorResult<Item, undefined>> {
    if (this.#state === 'new') this.#begin()
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#serve()
    })
  }

  async return(): Promise<IteratorResult<Item, undefined>> {
    this.#end()
    await this.#ending
    return { done: true, value: undefined }
  }

  push(item: Item): void {
    if (this.#state !== 'open') return
    const waiting = this.#waiting.shift()
    if (waiting === undefined) this.#items.push(item)
    else waiting.resolve({ done: false, value: item })
  }

  /** Forgets what nobody has taken yet. */
  drop(isMeant: (item: Item) => boolean): void {
    this.#items = this.#items.slice(this.#taken).filter((item) => !isMeant(item))
    this.#taken = 0
  }

  /** Ends at once, whatever has not been taken. */
  fail(error: unknown): void {
    if (this.#state === 'ended') return
    this.#failure = { error }
    this.#items = []
    this.#taken = 0
    this.#serve()
  }

  driverClosed(error: TroupeError): void {
    this.fail(error)
  }

  #begin(): void {
    this.#state = 'open'
    try {
      this.#signal?.throwIfAborted()
      if (this.#router.isClosed) throw this.#router.closedError
      this.#router.subscribers.add(this)
      if (this.#signal !== undefined) this.#router.aborts.add(this.#aborted, this.#signal)
      this.#spring.begin()
    } catch (error) {
      this.fail(error)
    }
  }

  #serve(): void {
    if (this.#state === 'ended') {
      this.#end()
      return
    }
    while (this.#waiting.length > 0 && this.#taken < this.#items.length) {
      const item = this.#items[this.#taken++]
      if (item !== undefined) this.#waiting.shift()?.resolve({ done: false, value: item })
    }
    if (this.#taken === this.#items.length || this.#taken > 1024) {
      this.#items = this.#items.slice(this.#taken)
      this.#taken = 0
    }
    if (this.#failure === undefined) return
    this.#finish()
    if (this.#waiting.length === 0) return
    this.#waiting.shift()?.reject(this.#failure.error)
    this.#end()
  }

  #end(): void {
    this.#finish()
    this.#state = 'ended'
    this.#items = []
    for (const { resolve } of this.#waiting.splice(0)) resolve({ done: true, value: undefined })
  }

  #finish(): void {
    if (this.#isFinished) return
    this.#isFinished = true
    this.#router.subscribers.delete(this)
    if (this.#signal !== undefined) this.#router.aborts.remove(this.#aborted, this.#signal)
    this.#ending = this.#spring.end() ?? undefined
  }
}

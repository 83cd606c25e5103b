/** An inbox is an async iterator that somebody else fills; whoever fills it knows how much its reader can take. */

export class Inbox<Item> implements AsyncIterator<Item, undefined> {
  readonly #items: Item[] = []
  readonly #waiting: {
    readonly resolve: (result: IteratorResult<Item, undefined>) => void
    readonly reject: (error: unknown) => void
  }[] = []
  readonly #onFirst: () => void
  readonly #onEnd: () => void
  #state: 'new' | 'open' | 'ended' = 'new'
  #error: { readonly cause: unknown } | undefined

  /** @param onFirst runs when the reader first asks @param onEnd runs once, however the inbox ends */
  constructor(onFirst: () => void, onEnd: () => void) {
    this.#onFirst = onFirst
    this.#onEnd = onEnd
  }

  get isWaiting(): boolean {
    return this.#waiting.length > 0
  }

  get size(): number {
    return this.#items.length
  }

  push(item: Item): void {
    const reader = this.#waiting.shift()
    if (reader === undefined) this.#items.push(item)
    else reader.resolve({ done: false, value: item })
  }

  /** The next read rejects, those after it find the end. */
  fail(cause: unknown): void {
    if (this.#state === 'ended') return
    const reader = this.#waiting.shift()
    if (reader === undefined) this.#error = { cause }
    else reader.reject(cause)
    this.#end()
  }

  next(): Promise<IteratorResult<Item, undefined>> {
    if (this.#state === 'new') this.#begin()
    const item = this.#items.shift()
    if (item !== undefined) return Promise.resolve({ done: false, value: item })
    if (this.#error !== undefined) {
      const { cause } = this.#error
      this.#error = undefined
      return Promise.reject(cause)
    }
    if (this.#state === 'ended') return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  return(): Promise<IteratorResult<Item, undefined>> {
    this.#error = undefined
    this.#end()
    return Promise.resolve({ done: true, value: undefined })
  }

  #begin(): void {
    this.#state = 'open'
    try {
      this.#onFirst()
    } catch (error) {
      this.fail(error)
    }
  }

  #end(): void {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    this.#items.length = 0
    for (const { resolve } of this.#waiting.splice(0)) resolve({ done: true, value: undefined })
    this.#onEnd()
  }
}

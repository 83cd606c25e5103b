/**
 * Aborts tell those who wait on signals that these have aborted; each signal gets one listener, however many wait: Node
 * warns of a leak beyond ten.
 */

interface Listened<Waiting> {
  readonly waiting: Set<Waiting>
  readonly listener: () => void
}

export class Aborts<Waiting> {
  readonly #aborted: (waiting: Waiting) => void
  readonly #signals = new Map<AbortSignal, Listened<Waiting>>()

  constructor(aborted: (waiting: Waiting) => void) {
    this.#aborted = aborted
  }

  add(one: Waiting, signal: AbortSignal): void {
    const known = this.#signals.get(signal)
    if (known !== undefined) {
      known.waiting.add(one)
      return
    }
    const waiting = new Set([one])
    const listener = (): void => {
      for (const each of waiting) this.#aborted(each)
    }
    this.#signals.set(signal, { waiting, listener })
    signal.addEventListener('abort', listener)
  }

  remove(one: Waiting, signal: AbortSignal): void {
    const listened = this.#signals.get(signal)
    if (listened === undefined) return
    listened.waiting.delete(one)
    if (listened.waiting.size > 0) return
    this.#signals.delete(signal)
    signal.removeEventListener('abort', listened.listener)
  }
}

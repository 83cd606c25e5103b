/** Aborts end operations whose signals abort; each signal gets one listener, however many operations share it. */

import type { Operation } from './operation.ts'

interface Listened {
  readonly operations: Set<Operation<unknown>>
  readonly listener: () => void
}

export class Aborts {
  readonly #aborted: (operation: Operation<unknown>) => void
  readonly #signals = new Map<AbortSignal, Listened>()

  constructor(aborted: (operation: Operation<unknown>) => void) {
    this.#aborted = aborted
  }

  add(operation: Operation<unknown>, signal: AbortSignal): void {
    operation.signal = signal
    const known = this.#signals.get(signal)
    if (known !== undefined) {
      known.operations.add(operation)
      return
    }
    const operations = new Set([operation])
    const listener = (): void => {
      for (const each of operations) this.#aborted(each)
    }
    this.#signals.set(signal, { operations, listener })
    signal.addEventListener('abort', listener)
  }

  remove(operation: Operation<unknown>, signal: AbortSignal): void {
    const listened = this.#signals.get(signal)
    if (listened === undefined) return
    listened.operations.delete(operation)
    if (listened.operations.size > 0) return
    this.#signals.delete(signal)
    signal.removeEventListener('abort', listened.listener)
  }
}

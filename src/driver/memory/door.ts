/** The door of the memory driver: every call comes through it, and none after it was closed. */

import { TroupeError } from '../../base/error.ts'
import type { CallOptions, Receipt } from '../contract.ts'

export const MEMORY_RECEIPT: Receipt = { guarantee: 'linearizable', shard: 0, ageMs: 0, durability: 'memory' }

export class MemoryDoor {
  readonly #closing: (() => void)[] = []
  #isClosed = false

  get isClosed(): boolean {
    return this.#isClosed
  }

  onClose(task: () => void): void {
    this.#closing.push(task)
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const task of this.#closing) task()
  }

  /** Throws when a call may not begin. */
  check({ signal }: CallOptions): void {
    signal?.throwIfAborted()
    if (this.#isClosed) throw closed()
  }

  /** Runs a call at once; a call that may not begin, or that fails, rejects. */
  answer<Answer>(options: CallOptions, call: () => Answer): Promise<Answer> {
    try {
      this.check(options)
      return Promise.resolve(call())
    } catch (error) {
      return Promise.reject(error)
    }
  }
}

export function closed(): TroupeError {
  return new TroupeError('CLOSED', 'this Troupe has been closed: open another one')
}

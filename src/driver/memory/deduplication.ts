/** Deduplication remembers which messages a queue was sent lately, by the ids that their senders gave them. */

import type { Clock, Millis } from '../../base/time.ts'
import type { OutgoingMessage } from '../contract.ts'

export interface Earlier {
  readonly number: number
  /** By the monotonic clock. A window of 0 lasts as long as the message. */
  until: Millis
  /** What is sent once the earlier one is acknowledged; see mode `'requeue'`. */
  again: OutgoingMessage | undefined
}

export class MemoryDeduplication {
  readonly #clock: Clock
  readonly #isLive: (number: number) => boolean
  readonly #byId = new Map<string, Earlier>()
  #nextSweep = 1024

  constructor(clock: Clock, isLive: (number: number) => boolean) {
    this.#clock = clock
    this.#isLive = isLive
  }

  find(message: OutgoingMessage): Earlier | undefined {
    const id = message.deduplication?.id
    const earlier = id === undefined ? undefined : this.#byId.get(id)
    return earlier !== undefined && this.#counts(earlier) ? earlier : undefined
  }

  note(message: OutgoingMessage, number: number): void {
    if (message.deduplication === undefined) return
    const { id, window } = message.deduplication
    this.#byId.set(id, { number, until: this.#clock.now() + window, again: undefined })
    if (this.#byId.size < this.#nextSweep) return
    for (const [known, earlier] of this.#byId) if (!this.#counts(earlier)) this.#byId.delete(known)
    this.#nextSweep = this.#byId.size * 2 + 1024
  }

  /** The message was cancelled: its id is for others. */
  forget({ deduplicationId, number }: { readonly deduplicationId: string | undefined; readonly number: number }): void {
    if (deduplicationId !== undefined && this.#byId.get(deduplicationId)?.number === number)
      this.#byId.delete(deduplicationId)
  }

  /** What is to be sent now that this message is acknowledged. */
  takeAgain(id: string | undefined): OutgoingMessage | undefined {
    const earlier = id === undefined ? undefined : this.#byId.get(id)
    if (id === undefined || earlier?.again === undefined) return undefined
    this.#byId.delete(id)
    return earlier.again
  }

  #counts(earlier: Earlier): boolean {
    return earlier.until > this.#clock.now() || earlier.again !== undefined || this.#isLive(earlier.number)
  }
}

/** A direct channel joins an application and an engine that run on the same event loop. */

import { TroupeError } from '../base/error.ts'
import type { Scheduler } from '../base/time.ts'
import type { Channel } from './channel.ts'

/** What may wait for one side to get its turn. */
const BUDGET_BYTES = 16 * 2 ** 20

/**
 * The two ends of a channel without a wire. A frame arrives at the end of the turn in which it was sent, never within
 * the call, so that neither side is entered while it is at work.
 */
export function directChannels(
  scheduler: Pick<Scheduler, 'defer'>,
  budgetBytes: number = BUDGET_BYTES,
): [Channel, Channel] {
  const one = new DirectChannel(scheduler, budgetBytes)
  const other = new DirectChannel(scheduler, budgetBytes)
  one.join(other)
  other.join(one)
  return [one, other]
}

class DirectChannel implements Channel {
  readonly #scheduler: Pick<Scheduler, 'defer'>
  readonly #budgetBytes: number
  #other: DirectChannel | undefined
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #frameHandler: ((frame: Uint8Array) => void) | undefined
  #closeHandler: ((reason: Error | undefined) => void) | undefined
  #closed = false

  constructor(scheduler: Pick<Scheduler, 'defer'>, budgetBytes: number) {
    this.#scheduler = scheduler
    this.#budgetBytes = budgetBytes
  }

  join(other: DirectChannel): void {
    this.#other = other
  }

  send(frame: Uint8Array): boolean {
    return !this.#closed && this.#other !== undefined && this.#other.take(frame)
  }

  onFrame(handler: (frame: Uint8Array) => void): void {
    this.#frameHandler = handler
  }

  onClose(handler: (reason: Error | undefined) => void): void {
    this.#closeHandler = handler
  }

  close(): void {
    if (this.#closed) return
    this.#end(undefined)
    // After the frames that are on their way.
    this.#scheduler.defer(() => this.#other?.hangUp())
  }

  hangUp(): void {
    this.#end(new TroupeError('CLOSED', 'the other side closed the channel'))
  }

  take(frame: Uint8Array): boolean {
    if (this.#closed || this.#waitingBytes + frame.length > this.#budgetBytes) return false
    if (this.#waiting.length === 0) this.#scheduler.defer(() => this.#deliver())
    this.#waiting.push(frame)
    this.#waitingBytes += frame.length
    return true
  }

  #deliver(): void {
    const frames = this.#waiting
    this.#waiting = []
    this.#waitingBytes = 0
    for (const frame of frames) if (!this.#closed) this.#frameHandler?.(frame)
  }

  #end(reason: Error | undefined): void {
    if (this.#closed) return
    this.#closed = true
    this.#closeHandler?.(reason)
  }
}

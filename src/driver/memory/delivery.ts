/** A memory delivery is a message in the hands of one consumer, until it is settled or its lease is over. */

import { TroupeError } from '../../base/error.ts'
import type { Millis, Timer, WallMillis } from '../../base/time.ts'
import type { CallOptions, DeathReason, Delivered, Effect } from '../contract.ts'
import type { MemoryMessage } from './message.ts'

/** Whose hands a delivery is in. */
export interface DeliveryTaker {
  readonly deliveries: Set<MemoryDelivery>
}

/** What a delivery asks of its queue. */
export interface DeliveryOwner {
  readonly leaseMs: Millis
  settle(options: CallOptions, delivery: MemoryDelivery, act: () => void): Promise<void>
  startLease(delivery: MemoryDelivery, leaseMs: Millis): Timer
  acknowledge(message: MemoryMessage): void
  retry(message: MemoryMessage, delay: Millis, error: Uint8Array | undefined): void
  die(message: MemoryMessage, reason: DeathReason): void
  restore(message: MemoryMessage): void
  check(effects: readonly Effect[]): void
  apply(message: MemoryMessage, effects: readonly Effect[]): void
}

export class MemoryDelivery implements Delivered {
  readonly message: MemoryMessage
  readonly consumer: DeliveryTaker
  readonly startedAt: Millis
  readonly id: string
  readonly key: string
  readonly payload: Uint8Array
  readonly large: undefined
  readonly headers: Readonly<Record<string, string>>
  readonly attempt: number
  readonly sentAt: WallMillis
  readonly leaseMs: Millis
  isOver = false
  readonly #owner: DeliveryOwner
  readonly #lost = new AbortController()
  #lease: Timer

  constructor(
    owner: DeliveryOwner,
    message: MemoryMessage,
    taker: { readonly consumer: DeliveryTaker; readonly now: Millis },
  ) {
    this.#owner = owner
    this.message = message
    this.consumer = taker.consumer
    this.startedAt = taker.now
    this.id = message.id
    this.key = message.key
    this.payload = message.payload.slice()
    this.headers = message.headers
    this.attempt = message.attempts + 1
    this.sentAt = message.sentAt
    this.leaseMs = owner.leaseMs
    this.#lease = owner.startLease(this, owner.leaseMs)
  }

  get lost(): AbortSignal {
    return this.#lost.signal
  }

  onLost(tell: (reason: Error) => void): void {
    const { signal } = this.#lost
    if (signal.aborted) tell(signal.reason)
    else signal.addEventListener('abort', () => tell(signal.reason), { once: true })
  }

  acknowledge(options: CallOptions): Promise<void> {
    return this.#owner.settle(options, this, () => this.#owner.acknowledge(this.message))
  }

  retry(delay: Millis, error: Uint8Array, options: CallOptions): Promise<void> {
    return this.#owner.settle(options, this, () => this.#owner.retry(this.message, delay, error))
  }

  reject(reason: DeathReason, error: Uint8Array, options: CallOptions): Promise<void> {
    return this.#owner.settle(options, this, () => {
      this.message.fail(error)
      this.#owner.die(this.message, reason)
    })
  }

  release(options: CallOptions): Promise<void> {
    return this.#owner.settle(options, this, () => this.#owner.restore(this.message))
  }

  async extend(lease: Millis, options: CallOptions): Promise<void> {
    options.signal?.throwIfAborted()
    this.#checkLease()
    this.#lease.cancel()
    this.#lease = this.#owner.startLease(this, lease)
  }

  async progress(value: Uint8Array, options: CallOptions): Promise<void> {
    options.signal?.throwIfAborted()
    this.#checkLease()
    this.message.progress = value.slice()
  }

  async commit(effects: readonly Effect[], options: CallOptions): Promise<void> {
    options.signal?.throwIfAborted()
    this.#checkLease()
    this.#owner.check(effects)
    await this.#owner.settle(options, this, () => {
      this.#owner.apply(this.message, effects)
      this.#owner.acknowledge(this.message)
    })
  }

  /** The hold is over: settled, or lost with a reason that the handler sees. */
  end(reason?: TroupeError): void {
    this.isOver = true
    this.#lease.cancel()
    if (reason !== undefined) this.#lost.abort(reason)
  }

  #checkLease(): void {
    if (this.isOver) throw staleDelivery(this.id)
  }
}

export function staleDelivery(id: string): TroupeError {
  return new TroupeError('FENCED', `the lease of message ${id} is over`)
}

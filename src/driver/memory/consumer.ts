/** A memory consumer takes deliveries of one queue, as many at once as it has credit for. */

import type { Millis } from '../../base/time.ts'
import type { ConsumeOptions, ConsumerStatus, Delivered } from '../contract.ts'
import type { MemoryDelivery } from './delivery.ts'
import { Inbox } from './inbox.ts'

/** What a consumer asks of its queue. */
export interface ConsumerOwner {
  readonly now: () => Millis
  enrol(consumer: MemoryConsumer): void
  dismiss(consumer: MemoryConsumer): void
}

export class MemoryConsumer implements AsyncIterator<Delivered, undefined> {
  readonly deliveries: Set<MemoryDelivery> = new Set()
  readonly #owner: ConsumerOwner
  readonly #options: ConsumeOptions
  readonly #inbox: Inbox<Delivered>
  readonly #aborted = (): void => this.fail(this.#options.signal?.reason)
  #polledAt: Millis

  constructor(owner: ConsumerOwner, options: ConsumeOptions) {
    this.#owner = owner
    this.#options = options
    this.#polledAt = owner.now()
    this.#inbox = new Inbox(
      () => this.#begin(),
      () => this.#end(),
    )
  }

  get hasRoom(): boolean {
    return this.deliveries.size < this.#options.credit && this.#options.draining?.aborted !== true
  }

  next(): Promise<IteratorResult<Delivered, undefined>> {
    this.#polledAt = this.#owner.now()
    return this.#inbox.next()
  }

  return(): Promise<IteratorResult<Delivered, undefined>> {
    return this.#inbox.return()
  }

  push(delivery: MemoryDelivery): void {
    this.deliveries.add(delivery)
    this.#inbox.push(delivery)
  }

  fail(error: unknown): void {
    this.#inbox.fail(error)
  }

  status(): ConsumerStatus {
    const now = this.#owner.now()
    const [oldest] = this.deliveries
    return {
      consumer: this.#options.consumer,
      lastPollMs: now - this.#polledAt,
      unsettled: this.deliveries.size,
      oldestUnsettledMs: oldest === undefined ? 0 : now - oldest.startedAt,
    }
  }

  #begin(): void {
    this.#options.signal?.throwIfAborted()
    this.#options.signal?.addEventListener('abort', this.#aborted, { once: true })
    this.#owner.enrol(this)
  }

  #end(): void {
    this.#options.signal?.removeEventListener('abort', this.#aborted)
    this.#owner.dismiss(this)
  }
}

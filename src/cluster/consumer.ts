/** A consumer is one stream of deliveries from a queue of this shard, with what it has not settled. */

import { ByteWriter } from '../base/bytes.ts'
import type { HeapEntry } from '../base/heap.ts'
import type { Millis } from '../base/time.ts'
import type { HeldMessage } from '../machine/leader-view.ts'
import { type ConsumeRequest, type ConsumerFacts, writeDelivery } from '../wire/delivery.ts'
import { REPLY } from '../wire/request.ts'
import type { Settlement } from './settlement.ts'
import type { Source } from './source.ts'

/** An event is complete when it is this long. */
const EVENT_BYTES = 64 * 1024
/** Payloads that one consumer may have unsettled; beyond, one more message goes out only when there is none. */
const UNSETTLED_BYTES = 16 * 1024 * 1024
const CREDIT_LIMIT = 65_535

/** A message that a consumer has for a time. */
export interface Lease {
  readonly token: number
  readonly consumer: Consumer
  readonly message: number
  /** Which delivery of the message it is. */
  readonly attempt: number
  readonly bytes: number
  readonly since: Millis
  until: Millis
  /** Among the deadlines; undefined while its end is under way through the log. */
  deadline: HeapEntry<Lease> | undefined
  /** What is to end it. */
  settlement: Settlement<Lease> | undefined
}

export class Consumer {
  readonly source: Source
  readonly id: number
  readonly queue: string
  readonly #name: string
  /** How many messages it has under lease. */
  unsettled = 0
  #credit: number
  #bytes = 0
  #lastPoll: Millis
  readonly #event = new ByteWriter(1024)
  /** It has been told that more waits, and it still does. */
  #isTold = false
  isClosed = false

  constructor(source: Source, id: number, request: ConsumeRequest, now: Millis) {
    this.source = source
    this.id = id
    this.queue = request.queue
    this.#name = request.consumer
    this.#credit = Math.min(request.credit, CREDIT_LIMIT)
    this.#lastPoll = now
  }

  get hasRoom(): boolean {
    return this.unsettled < this.#credit && (this.#bytes < UNSETTLED_BYTES || this.unsettled === 0)
  }

  polled(now: Millis): void {
    this.#lastPoll = now
  }

  credit(messages: number): void {
    this.#credit = Math.max(0, Math.min(CREDIT_LIMIT, this.#credit + messages))
    if (messages > 0) this.#isTold = false
  }

  begin(lease: Lease, message: HeldMessage): void {
    this.unsettled++
    this.#bytes += lease.bytes
    writeDelivery(this.#event, message, lease)
    if (this.#event.length >= EVENT_BYTES) this.flush()
  }

  end(lease: Lease): void {
    this.unsettled--
    this.#bytes -= lease.bytes
  }

  flush(): void {
    if (this.#event.length === 0) return
    this.source.reply(this.id, REPLY.event, this.#event.bytes.subarray(0, this.#event.length))
    this.#event.length = 0
  }

  /** Says once that more waits than it has credit for. */
  tell(): void {
    if (this.#isTold || this.unsettled < this.#credit) return
    this.#isTold = true
    this.source.reply(this.id, REPLY.event, MORE_WAITS)
  }

  /** Nothing waits any more for which it has credit. */
  untell(): void {
    if (!this.#isTold || !this.hasRoom) return
    this.#isTold = false
    this.source.reply(this.id, REPLY.event, NOTHING_WAITS)
  }

  get wantsTelling(): boolean {
    return !this.#isTold && this.unsettled >= this.#credit
  }

  /** @param oldest of what it has not settled */
  facts(now: Millis, oldest: Lease | undefined): ConsumerFacts {
    return {
      consumer: this.#name,
      lastPollMs: now - this.#lastPoll,
      unsettled: this.unsettled,
      oldestUnsettledMs: oldest === undefined ? 0 : now - oldest.since,
    }
  }
}

/** See `Delivery`. */
const MORE_WAITS = new Uint8Array(0)
const NOTHING_WAITS = new Uint8Array(1)

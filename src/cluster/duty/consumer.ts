/** A consumer is one stream of deliveries from a queue of this shard, with what it has not settled. */

import { ByteWriter } from '../../base/bytes.ts'
import type { HeapEntry } from '../../base/heap.ts'
import type { Millis } from '../../base/time.ts'
import type { HeldMessage } from '../../machine/leader-view.ts'
import { type ConsumeRequest, type ConsumerFacts, writeDelivery, writeRevocation } from '../../wire/delivery.ts'
import { REPLY } from '../../wire/request.ts'
import type { Source } from '../source.ts'
import type { Allowance, Member } from './allowance.ts'
import type { Settlement } from './settlement.ts'

/** An event is complete when it is this long. */
const EVENT_BYTES = 64 * 1024
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

export interface ConsumerSettings {
  readonly id: number
  readonly request: ConsumeRequest
  readonly now: Millis
}

export class Consumer implements Member {
  readonly source: Source
  readonly id: number
  readonly queue: string
  readonly #name: string
  readonly #consumption: number
  /** Of all streams of its consumption to this node. */
  readonly allowance: Allowance
  readonly #serve: () => void
  /** How many messages it has under lease. */
  #unsettled = 0
  #bytes = 0
  /** Its part of the allowance. */
  #credit: number
  #lastPoll: Millis
  readonly #event = new ByteWriter(1024)
  isClosed = false

  /** @param serve hands it what its queue has */
  constructor(source: Source, { id, request, now }: ConsumerSettings, serve: () => void) {
    this.source = source
    this.id = id
    this.queue = request.queue
    this.#name = request.consumer
    this.#consumption = request.consumption
    this.#credit = Math.min(request.credit, CREDIT_LIMIT)
    this.#lastPoll = now
    this.#serve = serve
    this.allowance = source.allowance(request.consumption)
    this.allowance.join(this.#credit)
  }

  get hasRoom(): boolean {
    return this.allowance.hasRoomFor(this)
  }

  polled(now: Millis): void {
    this.#lastPoll = now
  }

  credit(messages: number): void {
    const before = this.#credit
    this.#credit = Math.max(0, Math.min(CREDIT_LIMIT, before + messages))
    this.allowance.add(this.#credit - before)
  }

  begin(lease: Lease, message: HeldMessage): void {
    this.#unsettled++
    this.#bytes += lease.bytes
    this.allowance.begin(lease.bytes)
    writeDelivery(this.#event, message, lease)
    if (this.#event.length >= EVENT_BYTES) this.flush()
  }

  revoke(token: number): void {
    writeRevocation(this.#event, token)
  }

  end(lease: Lease): void {
    this.#unsettled--
    this.#bytes -= lease.bytes
    this.allowance.end(1, lease.bytes)
  }

  /** Nothing more goes out; what is still to be settled counts until it is. */
  close(): void {
    this.isClosed = true
    this.allowance.leave(this, this.#credit)
    this.#credit = 0
    this.source.leave(this.#consumption)
  }

  /** What it has is not its any more. */
  abandon(): void {
    this.close()
    this.allowance.end(this.#unsettled, this.#bytes)
    this.#unsettled = 0
    this.#bytes = 0
  }

  flush(): void {
    if (this.#event.length === 0) return
    this.source.reply(this.id, REPLY.event, this.#event.bytes.subarray(0, this.#event.length))
    this.#event.length = 0
  }

  serve(): void {
    this.#serve()
  }

  /** What its credit could bring has been sent. */
  served(): void {
    this.source.reply(this.id, REPLY.event, SERVED)
  }

  tell(): void {
    this.source.reply(this.id, REPLY.event, MORE_WAITS)
  }

  untell(): void {
    this.source.reply(this.id, REPLY.event, NOTHING_WAITS)
  }

  /** @param oldest of what it has not settled */
  facts(now: Millis, oldest: Lease | undefined): ConsumerFacts {
    return {
      consumer: this.#name,
      lastPollMs: now - this.#lastPoll,
      unsettled: this.#unsettled,
      oldestUnsettledMs: oldest === undefined ? 0 : now - oldest.since,
    }
  }
}

/** See `Delivery`. */
const MORE_WAITS = new Uint8Array(0)
const NOTHING_WAITS = new Uint8Array(1)
const SERVED = new Uint8Array(2)

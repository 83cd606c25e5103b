/** The subscriptions of a group: each follows the records of one partition at the pace of whoever reads them. */

import { ByteWriter } from '../../base/bytes.ts'
import type { TopicView } from '../../machine/leader-view.ts'
import { REPLY } from '../../wire/request.ts'
import { type SubscribeRequest, writeSubscriptionEvent } from '../../wire/subscription.ts'
import type { Source } from '../source.ts'

interface Subscription {
  readonly source: Source
  readonly id: number
  readonly topic: string
  readonly partition: number
  offset: number
  creditBytes: number
  /** Of the partition, when it was looked at last: it only grows, unless the topic is deleted. */
  end: number
}

/** Bytes of records in one event. */
const EVENT_BYTES = 64 * 1024
const SUBSCRIPTIONS_LIMIT = 10_000
/** An event says at least this much, so that records that hold nothing are not read ahead without end. */
const RECORD_BYTES = 16

export interface SubscriptionPorts {
  isActive(): boolean
  topics(): TopicView
}

export class Subscriptions {
  readonly #ports: SubscriptionPorts
  readonly #all = new Set<Subscription>()
  #version = -1

  constructor(ports: SubscriptionPorts) {
    this.#ports = ports
  }

  open(source: Source, id: number, { topic, partition, offset, creditBytes }: SubscribeRequest): void {
    if (this.#all.size >= SUBSCRIPTIONS_LIMIT) {
      source.reply(id, REPLY.ended, reason('OVERLOADED'))
      return
    }
    const subscription = { source, id, topic, partition, offset, creditBytes, end: 0 }
    this.#all.add(subscription)
    this.#serve(subscription)
  }

  credit(source: Source, id: number, bytes: number): void {
    for (const subscription of this.#all) {
      if (subscription.source !== source || subscription.id !== id) continue
      subscription.creditBytes += bytes
      this.#serve(subscription)
    }
  }

  close(source: Source, id: number): void {
    for (const each of this.#all) if (each.source === source && each.id === id) this.#all.delete(each)
  }

  sourceClosed(source: Source): void {
    for (const each of this.#all) if (each.source === source) this.#all.delete(each)
  }

  advance(): void {
    if (this.#all.size === 0 || !this.#ports.isActive()) return
    const { version } = this.#ports.topics()
    if (version === this.#version) return
    this.#version = version
    for (const subscription of this.#all) this.#serve(subscription)
  }

  move(): void {
    for (const { source, id } of this.#all) source.reply(id, REPLY.ended, reason('moved'))
    this.#all.clear()
    this.#version = -1
  }

  /** The topic was deleted: to come to an earlier offset than before says so. */
  #restart(subscription: Subscription): void {
    this.#all.delete(subscription)
    const event = new ByteWriter(RECORD_BYTES)
    writeSubscriptionEvent(event, { next: 0, end: 0, records: new Uint8Array(0) })
    subscription.source.reply(subscription.id, REPLY.event, event.take())
  }

  #serve(subscription: Subscription): void {
    if (!this.#ports.isActive()) return
    const view = this.#ports.topics()
    const { topic, partition, source, id } = subscription
    const end = view.end(topic, partition)
    if (end < subscription.end) {
      this.#restart(subscription)
      return
    }
    subscription.end = end
    while (subscription.creditBytes > 0 && subscription.offset < end) {
      const { records, next } = view.read(topic, partition, subscription.offset, EVENT_BYTES)
      if (next <= subscription.offset) return
      subscription.offset = next
      subscription.creditBytes -= records.length + RECORD_BYTES
      const event = new ByteWriter(records.length + RECORD_BYTES)
      writeSubscriptionEvent(event, { next, end, records })
      source.reply(id, REPLY.event, event.take())
    }
  }
}

function reason(code: string): Uint8Array {
  const writer = new ByteWriter(16)
  writer.text(code)
  return writer.take()
}

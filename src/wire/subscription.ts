/** A subscription streams the records of one partition from an offset on, at the pace of its reader. */

import type { ByteReader, ByteWriter } from '../base/bytes.ts'

export interface SubscribeRequest {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly creditBytes: number
}

export function writeSubscribeRequest(writer: ByteWriter, request: SubscribeRequest): void {
  writer.text(request.topic)
  writer.u32(request.partition)
  writer.u53(request.offset)
  writer.u32(request.creditBytes)
}

export function readSubscribeRequest(reader: ByteReader): SubscribeRequest {
  return { topic: reader.text(), partition: reader.u32(), offset: reader.u53(), creditBytes: reader.u32() }
}

/** An `event` of a subscription: `[next u53, end u53, records]`; `end` is the partition's next offset, for the lag. */
export interface SubscriptionEvent {
  readonly next: number
  readonly end: number
  readonly records: Uint8Array
}

export function writeSubscriptionEvent(writer: ByteWriter, event: SubscriptionEvent): void {
  writer.u53(event.next)
  writer.u53(event.end)
  writer.raw(event.records)
}

export function readSubscriptionEvent(reader: ByteReader): SubscriptionEvent {
  return { next: reader.u53(), end: reader.u53(), records: reader.raw(reader.remaining) }
}

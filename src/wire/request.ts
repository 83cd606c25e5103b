/** A request is what an application, or another node on its behalf, asks of an engine; many travel in one frame. */

import { type ByteReader, type ByteWriter, malformed } from '../base/bytes.ts'

/** The first byte of every frame. Types from 16 on are spoken between nodes only. */
export const FRAME = {
  requests: 1,
  replies: 2,
  introduction: 16,
  envelope: 17,
  snapshot: 18,
  snapshotReply: 19,
} as const

/** What is asked. The bytes that follow each are given beside it. */
export const OPERATION = {
  /** A machine command for the group's log. */
  command: 1,
  /** A machine query, answered by the leader so that it sees every acknowledged write. */
  query: 2,
  /** The greatest age allowed in milliseconds (f64), then a machine query; answered from this node's own replica. */
  localQuery: 3,
  /** See `WatchRequest`. The request's id names the watch from then on. */
  watch: 4,
  /** The id (u32) of the stream (a watch, consumer or subscription) that may send more, and how much (u32). */
  credit: 5,
  /** The id (u32) of the stream that ends. */
  end: 6,
  /** Nothing. Answered with the topology, and again whenever it changes. */
  topology: 7,
  /** Nothing. Answered with the status as JSON text. */
  status: 8,
  /** See `ConsumeRequest` in `wire/delivery.ts`. A stream of queue deliveries; credit counts messages. */
  consume: 9,
  /** See `SettleRequest`. A machine command that is proposed only while this leader's leases with these tokens stand. */
  settle: 10,
  /** See `ExtendRequest`. Prolongs leases of deliveries; answered with a machine reply, `fenced` for a token that is stale. */
  extend: 11,
  /** See `SubscribeRequest` in `wire/subscription.ts`. A stream of topic records; credit counts bytes. */
  subscribe: 12,
  /** Lease ids (u53 each) that live on; answered with those (u53 each) that do not exist here. Nothing is logged. */
  keepAlive: 13,
  /** See `ConsumersRequest`: who consumes a queue here, as JSON text for people and tools. */
  consumers: 14,
} as const

/** How a request ended; the bytes that follow each are given beside it. */
export const REPLY = {
  /** The machine's reply. For a local query the age in milliseconds (f64) comes first. */
  answered: 0,
  /** Certainly not executed, for now: the leader's node id (text, `''` when there is none known). */
  notLeader: 1,
  /**
   * The leader changed after the request was taken: it may have been executed, or may still be. To a query also: there
   * was no room for the answer, ask again.
   */
  leaderLost: 2,
  /** Certainly not executed: an error code (text) and a message (text). */
  refused: 3,
  /** See `WatchEvent`. */
  watchEvent: 4,
  /** See `Topology`. */
  topology: 5,
  /** JSON text. */
  status: 6,
  /** What a consumer or a subscription sends; more will come. */
  event: 7,
  /** A consumer or a subscription has ended here: the code of the reason (text), `'moved'` when another node can go on. */
  ended: 8,
} as const

/** A request as it lies in its frame; `bytes` is a view. */
export interface Request {
  readonly id: number
  readonly operation: number
  readonly group: number
  readonly bytes: Uint8Array
}

export interface Reply {
  readonly id: number
  readonly status: number
  readonly bytes: Uint8Array
}

/** Bytes of a request around its own: length, id, operation, group. */
export const REQUEST_OVERHEAD_BYTES = 13

export function writeRequest(writer: ByteWriter, request: Request): void {
  writer.u32(request.bytes.length)
  writer.u32(request.id)
  writer.u8(request.operation)
  writer.u32(request.group)
  writer.raw(request.bytes)
}

export function readRequest(reader: ByteReader): Request {
  const length = reader.u32()
  const id = reader.u32()
  const operation = reader.u8()
  const group = reader.u32()
  if (length > reader.remaining) throw malformed('a request is longer than its frame')
  return { id, operation, group, bytes: reader.raw(length) }
}

export function writeReply(writer: ByteWriter, id: number, status: number, bytes: Uint8Array): void {
  writer.u32(bytes.length)
  writer.u32(id)
  writer.u8(status)
  writer.raw(bytes)
}

export function readReply(reader: ByteReader): Reply {
  const length = reader.u32()
  const id = reader.u32()
  const status = reader.u8()
  if (length > reader.remaining) throw malformed('a reply is longer than its frame')
  return { id, status, bytes: reader.raw(length) }
}

/** Asks for the changes of keys in [from, until) of a map after `revision`; 0 for from now on. */
export interface WatchRequest {
  readonly map: string
  readonly from: string
  readonly until: string
  readonly revision: number
  /** How many bytes of events may be sent before more credit is given. */
  readonly creditBytes: number
}

export function writeWatchRequest(writer: ByteWriter, watch: WatchRequest): void {
  writer.text(watch.map)
  writer.text(watch.from)
  writer.text(watch.until)
  writer.u53(watch.revision)
  writer.u32(watch.creditBytes)
}

export function readWatchRequest(reader: ByteReader): WatchRequest {
  return {
    map: reader.text(),
    from: reader.text(),
    until: reader.text(),
    revision: reader.u53(),
    creditBytes: reader.u32(),
  }
}

/**
 * What a watch sends. `'standing'`: the watch covers everything after `through`. `'changes'`: encoded changes, which
 * cover everything up to `through`. `'compacted'`: what lay between is forgotten; the watch has ended. `'moved'`: this
 * node can no longer serve the watch, which has ended; ask another with the last `through`.
 */
export interface WatchEvent {
  readonly type: 'standing' | 'changes' | 'compacted' | 'moved'
  readonly through: number
  readonly changes: Uint8Array
}

const WATCH_EVENT_TYPES = ['standing', 'changes', 'compacted', 'moved'] as const

export function writeWatchEvent(writer: ByteWriter, event: WatchEvent): void {
  writer.u8(WATCH_EVENT_TYPES.indexOf(event.type))
  writer.u53(event.through)
  writer.raw(event.changes)
}

export function readWatchEvent(reader: ByteReader): WatchEvent {
  const type = WATCH_EVENT_TYPES[reader.u8()]
  if (type === undefined) throw malformed('a watch event has an unknown type')
  return { type, through: reader.u53(), changes: reader.raw(reader.remaining) }
}

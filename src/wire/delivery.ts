/** A delivery brings a queue's message to a consumer under a lease, whose token settles it. */

import { type ByteReader, type ByteWriter, malformed } from '../base/bytes.ts'

/** Opens a stream of deliveries from the queue's part in one shard. */
export interface ConsumeRequest {
  readonly queue: string
  /** Names the worker for people. */
  readonly consumer: string
  /** A random number: what the streams of one consumption may have of a node's shards is one number. */
  readonly consumption: number
  /**
   * How many messages more may be under lease at once to the consumption's streams at the leader's node; settled ones
   * make room by themselves, `credit` adds to it, or takes from it when it is negative as an i32. It ends with the
   * stream.
   */
  readonly credit: number
}

export function writeConsumeRequest(writer: ByteWriter, request: ConsumeRequest): void {
  writer.text(request.queue)
  writer.text(request.consumer)
  writer.u53(request.consumption)
  writer.u32(request.credit)
}

export function readConsumeRequest(reader: ByteReader): ConsumeRequest {
  return { queue: reader.text(), consumer: reader.text(), consumption: reader.u53(), credit: reader.u32() }
}

/**
 * An `event` of a consumer's stream holds these, oldest first. One that holds none says that more waits than the credit
 * at this node allows; no stream of the consumption there says it again before there was more credit, or an event of
 * one byte has said that nothing waits any more. One of two bytes follows what the stream's opening or more credit for
 * it has brought. Among them are revocations, `[0 u53, token u53]`: a lease that is over before its time, because its
 * message was removed, replaced, moved or expired.
 */
export interface Delivery {
  /** Of the lease; unique for a shard's leadership and never used again after it: `term * 2^32 + count`, so at most 2^21 terms. */
  readonly token: number
  readonly id: number
  /** 1 for the first delivery. It may lag by one for each change of leader while the message was under lease. */
  readonly attempt: number
  readonly leaseMs: number
  /** Microseconds of the leader's clock when it was sent. */
  readonly time: number
  readonly key: string
  readonly headers: Uint8Array
  readonly payload: Uint8Array
}

/** @param delivery its `body` is the headers and the payload as the queue keeps them: `[headers blob, payload blob]` */
export function writeDelivery(
  writer: ByteWriter,
  delivery: Omit<Delivery, 'token' | 'attempt' | 'headers' | 'payload'> & { readonly body: Uint8Array },
  lease: Pick<Delivery, 'token' | 'attempt'>,
): void {
  writer.u53(lease.token)
  writer.u53(delivery.id)
  writer.u32(lease.attempt)
  writer.u53(delivery.leaseMs)
  writer.u53(delivery.time)
  writer.text(delivery.key)
  writer.raw(delivery.body)
}

export function readDelivery(reader: ByteReader): Delivery {
  return {
    token: reader.u53(),
    id: reader.u53(),
    attempt: reader.u32(),
    leaseMs: readLease(reader),
    time: reader.u53(),
    key: reader.text(),
    headers: reader.blob(),
    payload: reader.blob(),
  }
}

/** Of no lease. */
const REVOKED = 0

export function writeRevocation(writer: ByteWriter, token: number): void {
  writer.u53(REVOKED)
  writer.u53(token)
}

/** The token of a lease that is over, if that comes next; otherwise nothing is read. */
export function readRevocation(reader: ByteReader): number | undefined {
  const { at } = reader
  if (reader.u53() === REVOKED) return reader.u53()
  reader.at = at
  return undefined
}

/** Whoever keeps a lease of no time has time for nothing else. */
function readLease(reader: ByteReader): number {
  const leaseMs = reader.u53()
  if (leaseMs === 0) throw malformed('a lease takes time')
  return leaseMs
}

/** `[count u16, token u53 …, machine command]`. With a stale token the leader proposes a `refuse` with the command's head instead. */
export interface SettleRequest {
  readonly tokens: readonly number[]
  /** An acknowledgement, retry, reject, release, or a transaction with such parts. A view. */
  readonly command: Uint8Array
}

function writeTokens(writer: ByteWriter, tokens: readonly number[]): void {
  writer.u16(tokens.length)
  for (const token of tokens) writer.u53(token)
}

export function readSettleRequest(reader: ByteReader): SettleRequest {
  return { tokens: readTokens(reader), command: reader.raw(reader.remaining) }
}

/** The command of a settle request, without reading its tokens; a view, empty when there is none. */
export function settledCommand(request: Uint8Array): Uint8Array {
  return request.subarray(2 + ((request[0] ?? 0) | ((request[1] ?? 0) << 8)) * 8)
}

/** From now on the leases last this long. `[count u16, token u53 …, leaseMs u53]` */
export interface ExtendRequest {
  readonly tokens: readonly number[]
  readonly leaseMs: number
}

export function writeExtendRequest(writer: ByteWriter, request: ExtendRequest): void {
  writeTokens(writer, request.tokens)
  writer.u53(request.leaseMs)
}

export function readExtendRequest(reader: ByteReader): ExtendRequest {
  return { tokens: readTokens(reader), leaseMs: reader.u53() }
}

function readTokens(reader: ByteReader): readonly number[] {
  const tokens: number[] = []
  for (let left = reader.u16(); left > 0; left--) tokens.push(reader.u53())
  if (tokens.length === 0) throw malformed('a settlement has a token')
  return tokens
}

/** Asks the leader of a shard who consumes a queue there; answered with a JSON text of {@link ConsumerFacts}. */
export interface ConsumersRequest {
  readonly queue: string
}

export function writeConsumersRequest(writer: ByteWriter, request: ConsumersRequest): void {
  writer.text(request.queue)
}

export function readConsumersRequest(reader: ByteReader): ConsumersRequest {
  return { queue: reader.text() }
}

/** Ages in milliseconds; `lastPoll` is the last time that the consumer opened its stream, settled, extended or gave credit. */
export interface ConsumerFacts {
  readonly consumer: string
  readonly lastPollMs: number
  readonly unsettled: number
  readonly oldestUnsettledMs: number
}

/** Bodies of the commands of queues, and the answers to their queries, between bytes and values. */

import { ByteReader, type ByteWriter, malformed } from '../../base/bytes.ts'
import { KEY_LIMIT_BYTES } from '../../base/limit.ts'
import type { LeaderMicros } from '../batch.ts'
import {
  DEATHS,
  DEDUPLICATION_MODES,
  KEY_WEIGHT_LIMIT,
  KEY_WEIGHTS_LIMIT,
  OVERFLOWS,
  QUEUE_QUERY,
  type QueueSettings,
} from './command.ts'

const SETTINGS_VERSION = 2

export interface SendCommand {
  readonly queue: string
  readonly key: string
  readonly priority: number
  /** A point of leader time, or a distance from it; 0 for now. */
  readonly due: LeaderMicros
  readonly isDueRelative: boolean
  /** The same; 0 for never. */
  readonly expires: LeaderMicros
  readonly isExpiresRelative: boolean
  readonly deduplication: string
  readonly mode: (typeof DEDUPLICATION_MODES)[number]
  /** 0: as long as the message lives. */
  readonly windowMs: number
  readonly headers: Uint8Array
  readonly payload: Uint8Array
}

export function encodeSend(writer: ByteWriter, command: SendCommand): void {
  writer.text(command.queue)
  encodeContent(writer, command)
}

/** What follows the queue's name. */
export function encodeContent(writer: ByteWriter, command: Omit<SendCommand, 'queue'>): void {
  writer.text(command.key)
  writer.u8((command.isDueRelative ? 1 : 0) | (command.isExpiresRelative ? 2 : 0))
  writer.u8(command.priority)
  writer.u53(command.due)
  writer.u53(command.expires)
  writer.text(command.deduplication)
  writer.u8(DEDUPLICATION_MODES.indexOf(command.mode))
  writer.u53(command.windowMs)
  writer.blob(command.headers)
  writer.blob(command.payload)
}

/** What comes before the body of a `send` to make it one of `sendFlow`. */
export function encodeFlowHead(writer: ByteWriter, queue: string, flow: string, children: number): void {
  writer.text(queue)
  writer.text(flow)
  writer.u16(children)
}

/** What comes before a piece's bytes in an `upload`, and the query `piece` after its kind. */
export function encodePieceName(writer: ByteWriter, queue: string, upload: number, offset: number): void {
  writer.text(queue)
  writer.u53(upload)
  writer.u53(offset)
}

/** What comes before the content of a `send` to make it one of `sendLarge`. */
export function encodeLargeHead(writer: ByteWriter, queue: string, upload: number, bytes: number): void {
  encodePieceName(writer, queue, upload, bytes)
}

/** Where a child brings its result. */
export interface ChildName {
  readonly queue: string
  readonly flow: string
  readonly child: number
}

export function encodeArrive(writer: ByteWriter, name: ChildName, result: Uint8Array): void {
  writer.text(name.queue)
  writer.text(name.flow)
  writer.u16(name.child)
  writer.blob(result)
}

/** `acknowledge`, `release`, `remove` and `revive`; also the query `inspect`, after its kind. */
export function encodeMessageId(writer: ByteWriter, queue: string, id: number): void {
  writer.text(queue)
  writer.u53(id)
}

export interface MessageName {
  readonly queue: string
  readonly id: number
}

export function encodeRetry(writer: ByteWriter, name: MessageName, delayMs: number, error: Uint8Array): void {
  encodeMessageId(writer, name.queue, name.id)
  writer.u53(delayMs)
  writer.blob(error)
}

export function encodeReject(
  writer: ByteWriter,
  name: MessageName,
  reason: (typeof DEATHS)[number],
  error: Uint8Array,
): void {
  encodeMessageId(writer, name.queue, name.id)
  writer.text(reason)
  writer.blob(error)
}

export function encodeLapse(writer: ByteWriter, name: MessageName, attempts: number): void {
  encodeMessageId(writer, name.queue, name.id)
  writer.u32(attempts)
}

/** An empty key keeps the message's own; a `due` of 0 is now. */
export function encodeMove(writer: ByteWriter, name: MessageName, key: string, due: LeaderMicros): void {
  encodeMessageId(writer, name.queue, name.id)
  writer.text(key)
  writer.u53(due)
}

export function encodeProgress(writer: ByteWriter, name: MessageName, value: Uint8Array): void {
  encodeMessageId(writer, name.queue, name.id)
  writer.blob(value)
}

export function encodeResult(writer: ByteWriter, name: MessageName, keepMs: number, value: Uint8Array): void {
  encodeMessageId(writer, name.queue, name.id)
  writer.u53(keepMs)
  writer.blob(value)
}

export function encodePause(writer: ByteWriter, queue: string, isPaused: boolean): void {
  writer.text(queue)
  writer.u8(isPaused ? 1 : 0)
}

export function encodePurge(writer: ByteWriter, queue: string, what: 'waiting' | 'dead' | 'all', limit: number): void {
  writer.text(queue)
  writer.u8(what === 'waiting' ? 0 : what === 'dead' ? 1 : 2)
  writer.u32(limit)
}

export function encodeDelete(writer: ByteWriter, queue: string, limit: number): void {
  writer.text(queue)
  writer.u32(limit)
}

/** An empty reason is any. */
export function encodeRedrive(writer: ByteWriter, queue: string, limit: number, reason: string): void {
  writer.text(queue)
  writer.u32(limit)
  writer.text(reason)
}

export function encodeConfigure(writer: ByteWriter, queue: string, settings: QueueSettings): void {
  writer.text(queue)
  encodeSettings(writer, settings)
}

export function encodeSettings(writer: ByteWriter, settings: QueueSettings): void {
  const number = (value: number): void => writer.u53(value === Number.POSITIVE_INFINITY ? 0 : value)
  writer.u8(SETTINGS_VERSION)
  writer.u8(settings.order === 'key' ? 0 : 1)
  number(settings.maxAttempts)
  number(settings.leaseMs)
  number(settings.limit)
  writer.u8(OVERFLOWS.indexOf(settings.overflow))
  number(settings.concurrency)
  number(settings.keyConcurrency)
  number(settings.rate)
  number(settings.ratePeriodMs)
  number(settings.keyRate)
  number(settings.keyRatePeriodMs)
  number(settings.deadKeepMs)
  writer.u8(settings.single ? 1 : 0)
  const weights = Object.entries(settings.keyWeights)
  writer.u16(weights.length)
  for (const [key, weight] of weights) {
    writer.text(key)
    writer.u16(weight)
  }
}

export function decodeSettings(reader: ByteReader): QueueSettings {
  if (reader.u8() !== SETTINGS_VERSION) throw malformed('settings of a queue in an unknown format')
  const number = (): number => reader.u53() || Number.POSITIVE_INFINITY
  const order = reader.u8()
  if (order > 1) throw malformed('no such order of a queue')
  return {
    order: order === 0 ? 'key' : 'none',
    maxAttempts: number(),
    leaseMs: number(),
    limit: number(),
    overflow: oneOf(OVERFLOWS, reader.u8()),
    concurrency: number(),
    keyConcurrency: number(),
    rate: number(),
    ratePeriodMs: number(),
    keyRate: number(),
    keyRatePeriodMs: number(),
    deadKeepMs: number(),
    single: reader.u8() === 1,
    keyWeights: readWeights(reader),
  }
}

function readWeights(reader: ByteReader): Readonly<Record<string, number>> {
  const count = reader.u16()
  if (count > KEY_WEIGHTS_LIMIT) throw malformed('a queue has weights of at most 1000 keys')
  const weights: [key: string, weight: number][] = []
  for (let left = count; left > 0; left--) weights.push([reader.text(KEY_LIMIT_BYTES), reader.u16()])
  if (weights.some(([, weight]) => weight < 1 || weight > KEY_WEIGHT_LIMIT)) throw malformed('a weight is 1 to 1000')
  return Object.fromEntries(weights)
}

/** The answer to `settings`. */
export function decodeSettingsAnswer(answer: Uint8Array): QueueSettings {
  return decodeSettings(answerReader(answer))
}

export function oneOf<Value>(values: readonly Value[], position: number): Value {
  const value = values[position]
  if (value === undefined) throw malformed('a choice beyond those that there are')
  return value
}

/** `stats` and `settings`. */
export function encodeQueueQuery(writer: ByteWriter, kind: number, queue: string): void {
  writer.u8(kind)
  writer.text(queue)
}

export type PeekedState = 'waiting' | 'delayed' | 'dead'

/** @param after the id that the page before ended with; 0 for the first */
export function encodePeek(
  writer: ByteWriter,
  queue: string,
  what: PeekedState,
  page: { readonly after: number; readonly limit: number },
): void {
  writer.u8(QUEUE_QUERY.peek)
  writer.text(queue)
  writer.u8(['waiting', 'delayed', 'dead'].indexOf(what))
  writer.u53(page.after)
  writer.u32(page.limit)
}

export function encodeInspect(writer: ByteWriter, queue: string, id: number): void {
  writer.u8(QUEUE_QUERY.inspect)
  encodeMessageId(writer, queue, id)
}

/** @param after the name that the page before ended with; `''` for the first */
export function encodeQueues(writer: ByteWriter, after: string, limit: number): void {
  writer.u8(QUEUE_QUERY.queues)
  writer.text(after)
  writer.u32(limit)
}

export function encodeChildrenQuery(writer: ByteWriter, name: MessageName, from: number): void {
  writer.u8(QUEUE_QUERY.children)
  encodeMessageId(writer, name.queue, name.id)
  writer.u16(from)
}

/** Results from the one asked for on, undefined for what has not come, and of how many in all; undefined for no flow. */
export function decodeChildren(
  answer: Uint8Array,
): { readonly count: number; readonly results: readonly (Uint8Array | undefined)[] } | undefined {
  const reader = answerReader(answer)
  if (reader.remaining === 0) return undefined
  const count = reader.u16()
  const results: (Uint8Array | undefined)[] = []
  while (reader.remaining > 0) results.push(readOptional(reader))
  return { count, results }
}

/** `[waiting u53, delayed u53, leased u53, dead u53, dropped u53, oldest u53, bytes u53, paused u8]` */
export interface StatsAnswer {
  /** Neither delayed nor held by the leader that answered. */
  readonly waiting: number
  readonly delayed: number
  readonly leased: number
  readonly dead: number
  /** Dead letters that made room for others. */
  readonly dropped: number
  /** When the oldest message that is not delayed was sent; 0 when there is none. */
  readonly oldest: LeaderMicros
  /** Of headers and payloads. */
  readonly bytes: number
  readonly isPaused: boolean
}

export function decodeStats(answer: Uint8Array): StatsAnswer {
  const reader = answerReader(answer)
  return {
    waiting: reader.u53(),
    delayed: reader.u53(),
    leased: reader.u53(),
    dead: reader.u53(),
    dropped: reader.u53(),
    oldest: reader.u53(),
    bytes: reader.u53(),
    isPaused: reader.u8() === 1,
  }
}

/** Encoded as its position. */
export const MESSAGE_STATES = ['waiting', 'delayed', 'leased', 'dead', 'done'] as const

/**
 * `[id u53, state u8, key text, attempts u32, time u53, due u53, priority u8, death u8, headers blob, payload blob, four times (present u8, blob)]`;
 * `death` is a position in `DEATHS` plus one, 0 for none.
 */
export interface PeekedMessage {
  readonly id: number
  readonly state: (typeof MESSAGE_STATES)[number]
  readonly key: string
  readonly attempts: number
  readonly time: LeaderMicros
  readonly due: LeaderMicros
  readonly priority: number
  readonly death: (typeof DEATHS)[number] | undefined
  readonly headers: Uint8Array
  readonly payload: Uint8Array
  readonly firstError: Uint8Array | undefined
  readonly lastError: Uint8Array | undefined
  readonly progress: Uint8Array | undefined
  readonly result: Uint8Array | undefined
}

/** `[count u32, messages]`; the following page is after the id of the last, and an empty page is the end. */
export function decodePeek(answer: Uint8Array): readonly PeekedMessage[] {
  const reader = answerReader(answer)
  const messages: PeekedMessage[] = []
  for (let left = reader.u32(); left > 0; left--) messages.push(decodeMessage(reader))
  return messages
}

/** Undefined for a message that is not known. */
export function decodeInspect(answer: Uint8Array): PeekedMessage | undefined {
  const reader = answerReader(answer)
  return reader.remaining === 0 ? undefined : decodeMessage(reader)
}

/** `[count u32, names]` */
export function decodeQueues(answer: Uint8Array): readonly string[] {
  const reader = answerReader(answer)
  const names: string[] = []
  for (let left = reader.u32(); left > 0; left--) names.push(reader.text(KEY_LIMIT_BYTES))
  return names
}

function decodeMessage(reader: ByteReader): PeekedMessage {
  return {
    id: reader.u53(),
    state: oneOf(MESSAGE_STATES, reader.u8()),
    key: reader.text(),
    attempts: reader.u32(),
    time: reader.u53(),
    due: reader.u53(),
    priority: reader.u8(),
    death: deathOf(reader.u8()),
    headers: reader.blob(),
    payload: reader.blob(),
    firstError: readOptional(reader),
    lastError: readOptional(reader),
    progress: readOptional(reader),
    result: readOptional(reader),
  }
}

function deathOf(code: number): (typeof DEATHS)[number] | undefined {
  return code === 0 ? undefined : oneOf(DEATHS, code - 1)
}

export function writeOptional(writer: ByteWriter, bytes: Uint8Array | undefined): void {
  writer.u8(bytes === undefined ? 0 : 1)
  if (bytes !== undefined) writer.blob(bytes)
}

/** A view. */
export function readOptional(reader: ByteReader): Uint8Array | undefined {
  const present = reader.u8()
  if (present > 1) throw malformed('neither there nor absent')
  return present === 1 ? reader.blob() : undefined
}

/** Stands after status and number. */
function answerReader(answer: Uint8Array): ByteReader {
  return new ByteReader(answer, Math.min(9, answer.length))
}

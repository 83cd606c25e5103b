/** Answers to the queries of queues; they change nothing. */

import { type ByteReader, type ByteWriter, malformed } from '../../base/bytes.ts'
import { KEY_LIMIT_BYTES } from '../../base/limit.ts'
import { expectQueryEnd, STATUS } from '../command.ts'
import { QUEUE_QUERY } from './command.ts'
import { encodeSettings, MESSAGE_STATES, writeOptional } from './encode.ts'
import { FLAG, PLACE } from './messages.ts'
import type { QueueState } from './state.ts'
import type { Uploads } from './uploads.ts'

const MOST_PAGE_ENTRIES = 1000
const MOST_PAGE_BYTES = 1024 * 1024

/** Answers about one queue; false for another kind. */
export function answerQuery(kind: number, state: QueueState, reader: ByteReader, reply: ByteWriter): boolean {
  if (kind === QUEUE_QUERY.stats) answerStats(state, reader, reply)
  else if (kind === QUEUE_QUERY.peek) answerPeek(state, reader, reply)
  else if (kind === QUEUE_QUERY.inspect) answerInspect(state, reader, reply)
  else if (kind === QUEUE_QUERY.children) answerChildren(state, reader, reply)
  else if (kind === QUEUE_QUERY.settings) {
    expectQueryEnd(reader)
    begin(reply, STATUS.ok)
    encodeSettings(reply, state.settings)
  } else return false
  return true
}

/** The bytes of a piece; `absent` when it is not there. */
export function answerPiece(uploads: Uploads, reader: ByteReader, reply: ByteWriter): void {
  const piece = uploads.find(reader.u53(), reader.u53())
  expectQueryEnd(reader)
  const bytes = piece === undefined ? undefined : uploads.read(piece)
  begin(reply, bytes === undefined ? STATUS.absent : STATUS.ok)
  if (bytes !== undefined) reply.raw(bytes)
}

/** @param names in order */
export function answerQueues(names: readonly string[], reader: ByteReader, reply: ByteWriter): void {
  const after = reader.text(KEY_LIMIT_BYTES)
  const limit = Math.min(reader.u32(), MOST_PAGE_ENTRIES)
  expectQueryEnd(reader)
  const page = names.filter((name) => name > after).slice(0, limit)
  begin(reply, STATUS.ok)
  reply.u32(page.length)
  for (const name of page) reply.text(name)
}

function answerStats(state: QueueState, reader: ByteReader, reply: ByteWriter): void {
  expectQueryEnd(reader)
  const { messages, live, delayed, order } = state
  let oldest = 0
  if (live.size > delayed) {
    live.forEach(0, (slot) => {
      if (messages.has(slot, FLAG.delayed)) return true
      oldest = messages.time[slot] ?? 0
      return false
    })
  }
  begin(reply, STATUS.ok)
  reply.u53(live.size - delayed - order.held)
  reply.u53(delayed)
  reply.u53(order.held)
  reply.u53(state.dead.size)
  reply.u53(state.dropped)
  reply.u53(oldest)
  reply.u53(messages.bytes)
  reply.u8(state.isPaused ? 1 : 0)
}

function answerPeek(state: QueueState, reader: ByteReader, reply: ByteWriter): void {
  const what = reader.u8()
  const after = reader.u53()
  const limit = Math.min(reader.u32(), MOST_PAGE_ENTRIES)
  expectQueryEnd(reader)
  if (what > 2) throw malformed('a peek is at waiting, delayed or dead messages')
  begin(reply, STATUS.ok)
  const start = reply.length
  reply.u32(0)
  let count = 0
  const list = what === 2 ? state.dead : state.live
  list.forEach(after, (slot) => {
    if (count >= limit || reply.length - start > MOST_PAGE_BYTES) return false
    if (what !== 2 && state.messages.has(slot, FLAG.delayed) !== (what === 1)) return true
    encodeMessage(reply, state, slot)
    count++
    return true
  })
  reply.patchU32(start, count)
}

function answerInspect(state: QueueState, reader: ByteReader, reply: ByteWriter): void {
  const id = reader.u53()
  expectQueryEnd(reader)
  const living = state.live.find(id)
  const slot = living === -1 ? state.dead.find(id) : living
  const result = state.results.get(id)?.value
  begin(reply, slot === -1 && result === undefined ? STATUS.absent : STATUS.ok)
  if (slot !== -1) encodeMessage(reply, state, slot)
  else if (result !== undefined) encodeDone(reply, id, result)
}

/** As many results as fit, and how many there are in all; `absent` for a message that is no flow. */
function answerChildren(state: QueueState, reader: ByteReader, reply: ByteWriter): void {
  const id = reader.u53()
  const from = reader.u16()
  expectQueryEnd(reader)
  const living = state.live.find(id)
  const flow = state.messages.details.get(living === -1 ? state.dead.find(id) : living)?.flow
  begin(reply, flow === undefined ? STATUS.absent : STATUS.ok)
  if (flow === undefined) return
  const start = reply.length
  reply.u16(flow.results.length)
  for (const result of flow.results.slice(from)) {
    if (reply.length - start > MOST_PAGE_BYTES) break
    writeOptional(reply, result)
  }
}

function encodeMessage(reply: ByteWriter, state: QueueState, slot: number): void {
  const { messages } = state
  const id = messages.id[slot] ?? 0
  const details = messages.details.get(slot)
  reply.u53(id)
  reply.u8(MESSAGE_STATES.indexOf(stateOf(state, slot)))
  reply.text(messages.keyOf(slot))
  reply.u32(messages.attempts.get(slot))
  reply.u53(messages.time[slot] ?? 0)
  reply.u53(messages.dueOf(slot))
  reply.u8(messages.priority[slot] ?? 0)
  reply.u8(details?.death ?? 0)
  reply.raw(messages.body(slot))
  writeOptional(reply, details?.firstError)
  writeOptional(reply, details?.lastError)
  writeOptional(reply, details?.progress)
  writeOptional(reply, state.results.get(id)?.value)
}

function stateOf({ messages }: QueueState, slot: number): (typeof MESSAGE_STATES)[number] {
  if (messages.has(slot, FLAG.dead)) return 'dead'
  if (messages.has(slot, FLAG.delayed)) return 'delayed'
  return messages.place[slot] === PLACE.held ? 'leased' : 'waiting'
}

/** Nothing but its result is known of a finished message. */
function encodeDone(reply: ByteWriter, id: number, result: Uint8Array): void {
  reply.u53(id)
  reply.u8(MESSAGE_STATES.indexOf('done'))
  reply.text('')
  reply.u32(0)
  reply.u53(0)
  reply.u53(0)
  reply.u8(0)
  reply.u8(0)
  reply.u32(0)
  reply.u32(0)
  for (let left = 3; left > 0; left--) writeOptional(reply, undefined)
  writeOptional(reply, result)
}

function begin(reply: ByteWriter, status: number): void {
  reply.u8(status)
  reply.u53(0)
}

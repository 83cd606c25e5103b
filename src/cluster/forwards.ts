/** Forwards are requests that this node has passed on to another, for a source of its own that waits for the reply. */

import { ByteReader, ByteWriter } from '../base/bytes.ts'
import type { NodeId } from '../base/identity.ts'
import {
  FRAME,
  OPERATION,
  REPLY,
  type Reply,
  type Request,
  readReply,
  readRequest,
  readWatchEvent,
  writeRequest,
} from '../wire/request.ts'
import { leaderHint, refusal } from './refusal.ts'
import type { Source } from './source.ts'

interface Forward {
  readonly source: Source
  readonly id: number
  readonly node: NodeId
  readonly group: number
  readonly operation: number
}

const FORWARDS_LIMIT = 65_536
/** A frame that has grown beyond this leaves before the turn ends, and none grows too long for the network. */
const FRAME_BYTES = 1024 * 1024
const NO_BYTES = new Uint8Array(0)
const OVERLOADED = refusal('OVERLOADED', 'too many requests wait for other nodes; slow down and try again')

export class Forwards {
  readonly #send: (to: NodeId, frame: Uint8Array) => boolean
  readonly #hinted: (group: number, leader: string) => void
  readonly #pending = new Map<number, Forward>()
  readonly #outgoing = new Map<NodeId, ByteWriter>()
  #numbers = 0

  /** `hinted` learns which node leads a group when the one that was asked does not. */
  constructor(send: (to: NodeId, frame: Uint8Array) => boolean, hinted: (group: number, leader: string) => void) {
    this.#send = send
    this.#hinted = hinted
  }

  forward(source: Source, request: Request, node: NodeId): void {
    if (this.#pending.size >= FORWARDS_LIMIT) {
      source.reply(request.id, REPLY.refused, OVERLOADED)
      return
    }
    const { operation, group, bytes } = request
    const id = this.#nextNumber()
    this.#pending.set(id, { source, id: request.id, node, group, operation })
    this.#write(node, { id, operation, group, bytes })
  }

  /** Passes on what concerns a stream that was forwarded earlier. False when this source has no such stream here. */
  forwardStream(source: Source, request: Request, stream: number): boolean {
    for (const [number, forward] of this.#pending) {
      if (!isStream(forward.operation) || forward.source !== source || forward.id !== stream) continue
      const bytes = new ByteWriter(8)
      bytes.u32(number)
      if (request.operation === OPERATION.credit) bytes.raw(request.bytes.subarray(4))
      else this.#pending.delete(number)
      this.#write(forward.node, { id: 0, operation: request.operation, group: request.group, bytes: bytes.take() })
      return true
    }
    return false
  }

  /** Nobody waits on this source any more: its streams elsewhere end. */
  abandon(source: Source): void {
    for (const [number, forward] of this.#pending) {
      if (forward.source !== source) continue
      if (!isStream(forward.operation)) continue
      this.forwardStream(source, { id: 0, operation: OPERATION.end, group: forward.group, bytes: NO_BYTES }, forward.id)
      this.#pending.delete(number)
    }
  }

  /** A frame of replies from a node that was asked. */
  received(frame: Uint8Array): void {
    const reader = new ByteReader(frame, 1)
    while (reader.remaining > 0) this.#settle(readReply(reader))
  }

  /** What was asked of this node may have been executed or not. */
  lost(node: NodeId): void {
    this.#outgoing.delete(node)
    for (const [number, forward] of this.#pending) {
      if (forward.node !== node) continue
      this.#pending.delete(number)
      forward.source.reply(forward.id, REPLY.leaderLost, NO_BYTES)
    }
  }

  flush(): void {
    for (const [node, writer] of this.#outgoing) if (writer.length > 0) this.#leave(node, writer)
  }

  #leave(node: NodeId, writer: ByteWriter): void {
    const frame = writer.copy()
    if (!this.#send(node, frame)) this.#undo(frame)
  }

  #write(node: NodeId, request: Request): void {
    let writer = this.#outgoing.get(node)
    if (writer === undefined) {
      writer = new ByteWriter(1024)
      this.#outgoing.set(node, writer)
    }
    if (writer.length > FRAME_BYTES) this.#leave(node, writer)
    if (writer.length === 0) writer.u8(FRAME.requests)
    writeRequest(writer, request)
  }

  #settle(reply: Reply): void {
    const forward = this.#pending.get(reply.id)
    if (forward === undefined) return
    if (reply.status === REPLY.notLeader) this.#hinted(forward.group, new ByteReader(reply.bytes).text())
    if (!isMoreToCome(reply)) this.#pending.delete(reply.id)
    forward.source.reply(forward.id, reply.status, reply.bytes)
  }

  /** The frame was not taken: none of its requests was executed. */
  #undo(frame: Uint8Array): void {
    const reader = new ByteReader(frame, 1)
    while (reader.remaining > 0) {
      const number = readRequest(reader).id
      const forward = this.#pending.get(number)
      this.#pending.delete(number)
      forward?.source.reply(forward.id, REPLY.notLeader, leaderHint(undefined))
    }
  }

  #nextNumber(): number {
    this.#numbers = (this.#numbers + 1) >>> 0
    return this.#pending.has(this.#numbers) || this.#numbers === 0 ? this.#nextNumber() : this.#numbers
  }
}

function isStream(operation: number): boolean {
  return operation === OPERATION.watch || operation === OPERATION.consume || operation === OPERATION.subscribe
}

function isMoreToCome(reply: Reply): boolean {
  if (reply.status === REPLY.event) return true
  if (reply.status !== REPLY.watchEvent) return false
  const { type } = readWatchEvent(new ByteReader(reply.bytes))
  return type === 'standing' || type === 'changes'
}

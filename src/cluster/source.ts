/** A source is where requests come from and replies go to: an application's channel, or another node that forwards. */

import { ByteReader, ByteWriter } from '../base/bytes.ts'
import { FRAME, REPLY, readReply, writeReply } from '../wire/request.ts'
import { Allowance } from './duty/allowance.ts'

/** Where an answer goes: a source, or somebody on this node. The bytes are only valid during the call. */
export interface ReplyTarget {
  reply(id: number, status: number, bytes: Uint8Array): void
}

/** A frame that has grown beyond this leaves before the turn ends: the other side can begin, and none grows too long for its channel. */
const FRAME_BYTES = 1024 * 1024
/** An answer of this length was to a query, which can be asked again. */
const LARGE_BYTES = 16 * 1024
const NO_BYTES = new Uint8Array(0)

/** Replies gather here during a turn and leave as one frame, or several when they are long. */
export class Source implements ReplyTarget {
  /** A forwarded request is passed on only to a leader that this node follows. */
  readonly isPeer: boolean
  readonly #send: (frame: Uint8Array) => boolean
  readonly #dirty: Source[]
  readonly #writer = new ByteWriter(1024)
  readonly #allowances = new Map<number, Allowance>()
  #isDirty = false
  /** There is no room for anything long in this turn. */
  #isFull = false
  /** It does not even take what is short. */
  #isStuck = false
  #isClosed = false

  /** `dirty` collects the sources that have something to flush at the end of the turn. */
  constructor(isPeer: boolean, send: (frame: Uint8Array) => boolean, dirty: Source[]) {
    this.isPeer = isPeer
    this.#send = send
    this.#dirty = dirty
  }

  /** What the streams of a consumption may have here together. */
  allowance(consumption: number): Allowance {
    const known = this.#allowances.get(consumption)
    if (known !== undefined) return known
    const allowance = new Allowance()
    this.#allowances.set(consumption, allowance)
    return allowance
  }

  /** A stream of the consumption has left. */
  leave(consumption: number): void {
    if (this.#allowances.get(consumption)?.isEmpty === true) this.#allowances.delete(consumption)
  }

  reply(id: number, status: number, bytes: Uint8Array): void {
    if (this.#isClosed || this.#isStuck) return
    if (!this.#isDirty) this.#dirty.push(this)
    this.#isDirty = true
    if (this.#writer.length > FRAME_BYTES) this.#leave()
    if (this.#writer.length === 0) this.#writer.u8(FRAME.replies)
    const isTooMuch = this.#isFull && isLargeAnswer(status, bytes)
    writeReply(this.#writer, id, isTooMuch ? REPLY.leaderLost : status, isTooMuch ? NO_BYTES : bytes)
  }

  /** False when the other side does not take its replies: it must be cut off, for they cannot be kept for it. */
  flush(): boolean {
    this.#isDirty = false
    this.#isFull = false
    if (this.#writer.length > 0 && !this.#isClosed) this.#leave()
    return !this.#isStuck
  }

  /** Whoever asks for more at once than it takes is told to ask again for what is long. */
  #leave(): void {
    const frame = this.#writer.copy()
    if (this.#send(frame)) return
    this.#isFull = true
    this.#isStuck = !this.#send(withoutLargeAnswers(frame))
  }

  close(): void {
    this.#isClosed = true
  }
}

/** The frame again, with a request to ask again in the place of each long answer. */
function withoutLargeAnswers(frame: Uint8Array): Uint8Array {
  const writer = new ByteWriter()
  writer.u8(FRAME.replies)
  const reader = new ByteReader(frame, 1)
  while (reader.remaining > 0) {
    const { id, status, bytes } = readReply(reader)
    const isLarge = isLargeAnswer(status, bytes)
    writeReply(writer, id, isLarge ? REPLY.leaderLost : status, isLarge ? NO_BYTES : bytes)
  }
  return writer.take()
}

function isLargeAnswer(status: number, bytes: Uint8Array): boolean {
  return status === REPLY.answered && bytes.length > LARGE_BYTES
}

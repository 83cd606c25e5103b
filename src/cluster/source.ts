/** A source is where requests come from and replies go to: an application's channel, or another node that forwards. */

import { ByteWriter } from '../base/bytes.ts'
import { FRAME, writeReply } from '../wire/request.ts'
import { Allowance } from './allowance.ts'

/** Where an answer goes: a source, or somebody on this node. The bytes are only valid during the call. */
export interface ReplyTarget {
  reply(id: number, status: number, bytes: Uint8Array): void
}

/** Replies gather here during a turn and leave as one frame. */
export class Source implements ReplyTarget {
  /** A forwarded request is passed on only to a leader that this node follows. */
  readonly isPeer: boolean
  readonly #send: (frame: Uint8Array) => boolean
  readonly #dirty: Source[]
  readonly #writer = new ByteWriter(1024)
  readonly #allowances = new Map<number, Allowance>()
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
    if (this.#isClosed) return
    if (this.#writer.length === 0) {
      this.#writer.u8(FRAME.replies)
      this.#dirty.push(this)
    }
    writeReply(this.#writer, id, status, bytes)
  }

  /** False when the other side does not take its replies: it must be cut off, for they cannot be kept for it. */
  flush(): boolean {
    if (this.#writer.length === 0 || this.#isClosed) return true
    return this.#send(this.#writer.copy())
  }

  close(): void {
    this.#isClosed = true
  }
}

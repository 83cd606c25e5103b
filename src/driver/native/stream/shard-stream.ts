/** A shard's stream stands at its leader, or at a node that forwards, and is opened again wherever the leader has gone. */

import type { ByteWriter } from '../../../base/bytes.ts'
import type { Link, StreamSink } from '../route/link.ts'
import type { Router } from '../route/router.ts'
import { Backoff } from './backoff.ts'
import type { WatchPorts } from './shard-watch.ts'

export interface StreamHandler {
  /** What the stream is opened with, each time anew. */
  encode(writer: ByteWriter): void
  event(bytes: Uint8Array): void
  /** It has ended there; another one is on its way. */
  lost(): void
}

export class ShardStream implements StreamSink {
  readonly group: number
  readonly #operation: number
  readonly #router: Router
  readonly #backoff: Backoff
  readonly #handler: StreamHandler
  #link: Link | undefined
  #id = 0
  #isEnded = false

  constructor(
    place: { readonly operation: number; readonly group: number },
    router: Router,
    ports: WatchPorts,
    handler: StreamHandler,
  ) {
    this.group = place.group
    this.#operation = place.operation
    this.#router = router
    this.#backoff = new Backoff(ports)
    this.#handler = handler
  }

  begin(): void {
    if (this.#isEnded) return
    const link = this.#router.linkTo(this.group)
    if (link === undefined) {
      this.#backoff.retry(() => this.begin())
      return
    }
    this.#link = link
    const encode = (writer: ByteWriter): void => this.#handler.encode(writer)
    this.#id = link.stream({ operation: this.#operation, group: this.group, encode }, this)
  }

  /** Nothing when it does not stand: it is opened with what is right then. Whether it does. */
  credit(amount: number): boolean {
    if (amount !== 0) this.#link?.credit(this.group, this.#id, amount)
    return this.#link !== undefined
  }

  event(bytes: Uint8Array): void {
    this.#backoff.reset()
    if (!this.#isEnded) this.#handler.event(bytes)
  }

  lost(): void {
    this.#link = undefined
    if (this.#isEnded) return
    this.#handler.lost()
    if (!this.#isEnded) this.#backoff.retry(() => this.begin())
  }

  /** Stands anew, as if it had been lost. */
  restart(): void {
    this.#link?.end(this.group, this.#id)
    this.#link = undefined
    this.#backoff.cancel()
    this.begin()
  }

  end(): void {
    this.#isEnded = true
    this.#backoff.cancel()
    this.#link?.end(this.group, this.#id)
    this.#link = undefined
  }
}

/** A handler's run is one message in a worker's hands, with what its handler can do beside its work. */

import { checkDuration, invalidArgument } from '../base/argument.ts'
import { PARENT_HEADER, REQUEST_HEADER } from '../base/headers.ts'
import type { Millis } from '../base/time.ts'
import { NO_OPTIONS } from '../data/call.ts'
import { facetOf } from '../data/facet.ts'
import type { Delivered } from '../driver/contract.ts'
import { EffectBuffer } from './effects.ts'
import type { HandlerContext } from './handler.ts'
import { insist } from './insist.ts'
import { NO_HEADERS } from './outgoing.ts'
import type { MessageParts } from './parts.ts'
import type { QueueMessage } from './queue.ts'

const DAY_MS: Millis = 24 * 3_600_000

/** Each message makes one of these and no more: the signal and the effects are there once somebody asks for them. */
export class HandlerRun implements HandlerContext {
  readonly delivered: Delivered
  isCommitted = false
  /** Once it has been looked into. */
  message: QueueMessage<unknown> | undefined
  /** When the lease is to be extended. */
  keepAt: Millis
  #leaseMs: Millis
  #end: Error | undefined
  readonly #parts: MessageParts
  readonly #queue: string
  readonly #keepAgain: (at: Millis) => void
  #effects: EffectBuffer | undefined
  #controller: AbortController | undefined

  /** @param keepAgain is told when the lease is to be extended earlier than was said */
  constructor(parts: MessageParts, queue: string, delivered: Delivered, keepAgain: (at: Millis) => void) {
    this.delivered = delivered
    this.#queue = queue
    this.#parts = parts
    this.#keepAgain = keepAgain
    this.#leaseMs = delivered.leaseMs
    this.keepAt = parts.clock.now() + halfOf(delivered.leaseMs)
    delivered.onLost((error) => this.end(error))
  }

  get attempt(): number {
    return this.delivered.attempt
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#end !== undefined) this.#controller.abort(this.#end)
    }
    return this.#controller.signal
  }

  /** The lease is lost, or the worker has ended. */
  get isLost(): boolean {
    return this.#end !== undefined
  }

  end(reason: Error): void {
    this.#end ??= reason
    this.#controller?.abort(reason)
  }

  /** Extends the lease: a failure shows as a lost one; a lost reply is made good by the next extension. */
  keep(now: Millis): void {
    this.delivered.extend(this.#leaseMs, {}).catch(() => undefined)
    this.keepAt = now + halfOf(this.#leaseMs)
  }

  // What a handler calls is made when it is looked up, and bound: `({ value }, { emit, set }) => …` is what people
  // write.

  get emit(): HandlerContext['emit'] {
    return (queue, value, options = NO_OPTIONS) => this.#open().send(queue, value, options)
  }

  get set(): HandlerContext['set'] {
    return (map, key, value) => this.#open().set(map, key, value)
  }

  get delete(): HandlerContext['delete'] {
    return (map, key) => this.#open().delete(map, key)
  }

  get publish(): HandlerContext['publish'] {
    return (topic, value, options = NO_OPTIONS) => this.#open().publish(topic, value, options)
  }

  get result(): HandlerContext['result'] {
    return (value, options = NO_OPTIONS) => this.#open().result(value, options)
  }

  get commit(): HandlerContext['commit'] {
    return () => this.#commit()
  }

  get children(): HandlerContext['children'] {
    return async () => {
      const { driver, codec } = this.#parts
      const results = await facetOf(driver, 'queue').children(this.#queue, this.delivered.id, {})
      return results.map((result) => (result === undefined ? undefined : codec.decode(result)))
    }
  }

  get progress(): HandlerContext['progress'] {
    return async (value) => this.delivered.progress(this.#parts.codec.encode(value), {})
  }

  get extend(): HandlerContext['extend'] {
    return async (lease) => {
      checkDuration('a lease', lease, 1)
      const half = this.#parts.clock.now() + halfOf(lease)
      await this.delivered.extend(lease, {})
      this.#leaseMs = lease
      this.keepAt = half
      this.#keepAgain(half)
    }
  }

  async #commit(): Promise<void> {
    this.#demand()
    const { headers = NO_HEADERS } = this.message ?? {}
    const isAwaited = headers[PARENT_HEADER] !== undefined || headers[REQUEST_HEADER] !== undefined
    if (isAwaited) this.#open().answer(headers)
    const effects = this.#effects
    const all = effects === undefined || effects.isEmpty ? undefined : await effects.all()
    const { delivered } = this
    const settle = (): Promise<void> => (all === undefined ? delivered.acknowledge({}) : delivered.commit(all, {}))
    await insist(this.#parts, delivered, settle)
    this.isCommitted = true
  }

  #open(): EffectBuffer {
    this.#demand()
    this.#effects ??= new EffectBuffer(this.#parts)
    return this.#effects
  }

  #demand(): void {
    if (this.isCommitted)
      throw invalidArgument('the message has been committed: nothing can happen along with it any more')
  }
}

/** When to extend a lease, of which the leader grants a day at most. */
function halfOf(lease: Millis): Millis {
  return Math.min(lease, DAY_MS) / 2
}

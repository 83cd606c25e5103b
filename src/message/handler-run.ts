/** A handler's run is one message in a worker's hands, with what its handler can do beside its work. */

import { invalidArgument } from '../base/argument.ts'
import { PARENT_HEADER, REQUEST_HEADER } from '../base/headers.ts'
import type { Millis } from '../base/time.ts'
import { NO_OPTIONS } from '../data/call.ts'
import type { MapDefinition } from '../data/map.ts'
import type { Delivered } from '../driver/contract.ts'
import { EffectBuffer } from './effects.ts'
import type { HandlerContext } from './handler.ts'
import { facetOf, type MessageParts } from './parts.ts'
import type { QueueDefinition, QueueMessage, SendOptions } from './queue.ts'
import type { PublishOptions, TopicDefinition } from './topic.ts'

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({})
const RESULT_KEEP_MS: Millis = 24 * 3_600_000

/** Each message makes one of these and no more: the signal and the effects are there once somebody asks for them. */
export class HandlerRun implements HandlerContext {
  readonly delivered: Delivered
  isCommitted = false
  /** Once it has been looked into. */
  message: QueueMessage<unknown> | undefined
  /** When the lease is to be extended. */
  keepAt: Millis
  #end: Error | undefined
  readonly #parts: MessageParts
  readonly #queue: string
  #effects: EffectBuffer | undefined
  #controller: AbortController | undefined

  constructor(parts: MessageParts, queue: string, delivered: Delivered) {
    this.delivered = delivered
    this.#queue = queue
    this.#parts = parts
    this.keepAt = parts.clock.now() + delivered.leaseMs / 2
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
    const { leaseMs } = this.delivered
    this.delivered.extend(leaseMs, {}).catch(() => undefined)
    this.keepAt = now + leaseMs / 2
  }

  emit<Value, Input>(queue: QueueDefinition<Value, Input>, value: Input, options: SendOptions = NO_OPTIONS): void {
    this.#open().send(queue, value, options)
  }

  set<Value, Input>(map: MapDefinition<Value, Input>, key: string, value: Input): void {
    this.#open().set(map, key, value)
  }

  delete<Value, Input>(map: MapDefinition<Value, Input>, key: string): void {
    this.#open().delete(map, key)
  }

  publish<Value, Input>(
    topic: TopicDefinition<Value, Input>,
    value: Input,
    options: PublishOptions = NO_OPTIONS,
  ): void {
    this.#open().publish(topic, value, options)
  }

  result(value: unknown, { keep = RESULT_KEEP_MS }: { readonly keep?: Millis } = NO_OPTIONS): void {
    this.#open().result(value, keep)
  }

  async commit(): Promise<void> {
    this.#demand()
    const { headers = NO_HEADERS } = this.message ?? {}
    const isAwaited = headers[PARENT_HEADER] !== undefined || headers[REQUEST_HEADER] !== undefined
    if (isAwaited) this.#open().answer(headers, RESULT_KEEP_MS)
    const effects = this.#effects
    if (effects === undefined || effects.isEmpty) await this.delivered.acknowledge({})
    else await this.delivered.commit(await effects.all(), {})
    this.isCommitted = true
  }

  async children(): Promise<readonly unknown[]> {
    const { driver, codec } = this.#parts
    const results = await facetOf(driver, 'queue').children(this.#queue, this.delivered.id, {})
    return results.map((result) => (result === undefined ? undefined : codec.decode(result)))
  }

  progress(value: unknown): Promise<void> {
    return this.delivered.progress(this.#parts.codec.encode(value), {})
  }

  extend(lease: Millis): Promise<void> {
    return this.delivered.extend(lease, {})
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

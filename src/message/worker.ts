/** A worker runs a handler for the messages of a queue, several at once, and keeps their leases meanwhile. */

import { invalidArgument, refuseUnknownOptions } from '../base/argument.ts'
import { isTroupeError } from '../base/error.ts'
import type { Millis, Timer } from '../base/time.ts'
import { NO_OPTIONS } from '../data/call.ts'
import { validate } from '../data/schema.ts'
import type { Delivered } from '../driver/contract.ts'
import { encodeFailure, failureRecord } from './failure-record.ts'
import type { DrainResult, Handler, Worker, WorkOptions } from './handler.ts'
import { HandlerRun } from './handler-run.ts'
import { facetOf, type MessageParts, pause } from './parts.ts'
import type { QueueDefinition, QueueMessage } from './queue.ts'

export const WORK_OPTIONS: ReadonlySet<string> = new Set(['concurrency', 'prefetch', 'consumer', 'signal', 'onFailure'])
const DRAIN_OPTIONS: ReadonlySet<string> = new Set(['timeout'])
const DRAIN_MS: Millis = 25_000

export class QueueWorker<Value, Input> implements Worker {
  readonly ended: Promise<void>
  readonly #parts: MessageParts
  readonly #definition: QueueDefinition<Value, Input>
  readonly #handler: Handler<Value>
  readonly #options: WorkOptions
  readonly #concurrency: number
  readonly #deliveries: AsyncIterator<Delivered>
  readonly #waiting: HandlerRun[] = []
  readonly #running = new Set<HandlerRun>()
  readonly #ending = new AbortController()
  /** One for all messages: most are done long before their leases are extended. */
  #keeper: Timer | undefined
  #keeperAt: Millis = Number.POSITIVE_INFINITY
  #idle: (() => void) | undefined
  #isDraining = false
  #finished = 0

  constructor(
    parts: MessageParts,
    definition: QueueDefinition<Value, Input>,
    handler: Handler<Value>,
    options: WorkOptions,
  ) {
    const { concurrency = 1, consumer = 'worker', signal } = options
    const prefetch = options.prefetch ?? concurrency
    if (typeof handler !== 'function') throw invalidArgument('a handler is a function')
    if (!(Number.isSafeInteger(concurrency) && concurrency >= 1))
      throw invalidArgument('concurrency is a whole number from 1')
    if (!(Number.isSafeInteger(prefetch) && prefetch >= 0)) throw invalidArgument('prefetch is a whole number from 0')
    this.#parts = parts
    this.#definition = definition
    this.#handler = handler
    this.#options = options
    this.#concurrency = concurrency
    const { name, rules } = definition
    const credit = concurrency + prefetch
    this.#deliveries = facetOf(parts.driver, 'queue')
      .consume({ name, rules }, { consumer, credit })
      [Symbol.asyncIterator]()
    this.ended = this.#pull()
    this.ended.catch(() => undefined)
    for (const end of [signal, parts.ending]) {
      if (end?.aborted === true) void this.close()
      else end?.addEventListener('abort', () => void this.close(), { once: true, signal: this.#ending.signal })
    }
  }

  async drain(options: { readonly timeout?: Millis } = NO_OPTIONS): Promise<DrainResult> {
    refuseUnknownOptions('worker.drain', options, DRAIN_OPTIONS)
    this.#isDraining = true
    this.#finished = 0
    let released = await this.#releaseWaiting()
    const timeUp = new AbortController()
    if (this.#running.size > 0) {
      const idle = new Promise<void>((resolve) => {
        this.#idle = resolve
      })
      await Promise.race([idle, pause(this.#parts, options.timeout ?? DRAIN_MS, timeUp.signal).catch(() => undefined)])
    }
    timeUp.abort()
    released += await this.#releaseWaiting()
    const result = { finished: this.#finished, released, abandoned: this.#running.size }
    await this.close()
    return result
  }

  async close(): Promise<void> {
    this.#isDraining = true
    if (!this.#ending.signal.aborted) this.#ending.abort(new Error('the worker has ended'))
    this.#keeper?.cancel()
    this.#waiting.length = 0
    for (const run of this.#running) run.end(this.#ending.signal.reason)
    await this.#deliveries.return?.()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #pull(): Promise<void> {
    try {
      for (;;) {
        const { done, value } = await this.#deliveries.next()
        if (done === true) return
        this.#take(value)
      }
    } catch (error) {
      const isOrderly = this.#ending.signal.aborted || (this.#parts.ending.aborted && isTroupeError(error, 'CLOSED'))
      if (!isOrderly) throw error
    }
  }

  #take(delivered: Delivered): void {
    const run = new HandlerRun(this.#parts, delivered)
    this.#keep(run.keepAt)
    this.#waiting.push(run)
    this.#start()
  }

  #start(): void {
    while (!this.#isDraining && this.#running.size < this.#concurrency) {
      const run = this.#waiting.shift()
      if (run === undefined) return
      if (run.isLost) continue
      this.#running.add(run)
      void this.#work(run).then(() => this.#finish(run))
    }
  }

  #finish(run: HandlerRun): void {
    this.#running.delete(run)
    this.#finished += 1
    if (this.#running.size === 0) this.#idle?.()
    this.#start()
  }

  async #releaseWaiting(): Promise<number> {
    const runs = this.#waiting.splice(0)
    await Promise.all(runs.map(({ delivered }) => delivered.release({}).catch(() => undefined)))
    return runs.length
  }

  #keep(at: Millis): void {
    if (at >= this.#keeperAt || this.#ending.signal.aborted) return
    this.#keeper?.cancel()
    this.#keeperAt = at
    this.#keeper = this.#parts.scheduler.at(at, () => this.#extend())
  }

  /** Extends each lease when half of it is over. */
  #extend(): void {
    const now = this.#parts.clock.now()
    this.#keeperAt = Number.POSITIVE_INFINITY
    let next = Number.POSITIVE_INFINITY
    for (const run of [...this.#waiting, ...this.#running]) {
      if (run.isLost) continue
      if (run.keepAt <= now) run.keep(now)
      next = Math.min(next, run.keepAt)
    }
    this.#keep(next)
  }

  async #work(run: HandlerRun): Promise<void> {
    const { delivered } = run
    try {
      const message = await receivedMessage(this.#definition, delivered, this.#parts)
      if (message === undefined) return
      await this.#handler(message, run)
    } catch (error) {
      if (!run.isCommitted) await this.#fail(run, error)
      return
    }
    if (run.isCommitted) return
    try {
      await run.commit()
    } catch (error) {
      // Effects that cannot happen are the handler's failure; without an answer the lease says what became of it.
      if (
        isTroupeError(
          error,
          'VALIDATION',
          'INVALID_ARGUMENT',
          'CONFLICT',
          'FULL',
          'TOO_LARGE',
          'UNSERIALIZABLE',
          'UNSUPPORTED',
        )
      ) {
        await this.#fail(run, error)
      }
    }
  }

  async #fail({ delivered, isLost }: HandlerRun, error: unknown): Promise<void> {
    // What ended because the worker ends, or has lost its lease, has not failed: it goes back as it is.
    if (this.#ending.signal.aborted || isLost) return
    const { retry } = this.#definition
    const settled = async (): Promise<void> => {
      const decision = retry(error, delivered.attempt, this.#parts.random)
      if (decision === 'reject') await delivered.reject('rejected', encodeFailure(error), {})
      else await delivered.retry(Math.max(0, decision), encodeFailure(error), {})
    }
    await settled().catch(() => undefined)
    this.#options.onFailure?.(failureRecord(error), { id: delivered.id, attempt: delivered.attempt })
  }
}

/** Undefined when its value does not fit the schema: then it is a dead letter with the issues. */
export async function receivedMessage<Value, Input>(
  { name, schema }: QueueDefinition<Value, Input>,
  delivered: Delivered,
  { codec }: MessageParts,
): Promise<QueueMessage<Value> | undefined> {
  const { id, key, headers, attempt, sentAt } = delivered
  try {
    const stored = codec.decode(delivered.payload)
    const value =
      schema === undefined ? (stored as Value) : await validate(schema, stored, `message ${id} of '${name}'`)
    return { id, key, value, headers, attempt, sentAt }
  } catch (error) {
    await delivered.reject('validation', encodeFailure(error), {}).catch(() => undefined)
    return undefined
  }
}

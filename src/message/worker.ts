/** A worker runs a handler for the messages of a queue, several at once, and keeps their leases meanwhile. */

import { invalidArgument, refuseUnknownOptions } from '../base/argument.ts'
import { isTroupeError } from '../base/error.ts'
import type { Millis, Timer } from '../base/time.ts'
import { NO_OPTIONS } from '../data/call.ts'
import type { MapDefinition } from '../data/map.ts'
import { validate } from '../data/schema.ts'
import type { Delivered } from '../driver/contract.ts'
import { EffectBuffer } from './effects.ts'
import { encodeFailure, failureRecord } from './failure-record.ts'
import type { DrainResult, Handler, HandlerContext, Worker, WorkOptions } from './handler.ts'
import { facetOf, type MessageParts, pause } from './parts.ts'
import type { QueueDefinition, QueueMessage, SendOptions } from './queue.ts'
import type { PublishOptions, TopicDefinition } from './topic.ts'

export const WORK_OPTIONS: ReadonlySet<string> = new Set(['concurrency', 'prefetch', 'consumer', 'signal', 'onFailure'])
const DRAIN_OPTIONS: ReadonlySet<string> = new Set(['timeout'])
const DRAIN_MS: Millis = 25_000
const RESULT_KEEP_MS: Millis = 24 * 3_600_000

/** A message in this worker's hands, with the timer that keeps its lease. */
interface Job {
  readonly delivered: Delivered
  keeper: Timer | undefined
}

export class QueueWorker<Value, Input> implements Worker {
  readonly ended: Promise<void>
  readonly #parts: MessageParts
  readonly #definition: QueueDefinition<Value, Input>
  readonly #handler: Handler<Value>
  readonly #options: WorkOptions
  readonly #concurrency: number
  readonly #deliveries: AsyncIterator<Delivered>
  readonly #waiting: Job[] = []
  readonly #running = new Set<Job>()
  readonly #ending = new AbortController()
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
    for (const job of [...this.#waiting, ...this.#running]) job.keeper?.cancel()
    this.#waiting.length = 0
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
    const job: Job = { delivered, keeper: undefined }
    this.#keep(job)
    this.#waiting.push(job)
    this.#start()
  }

  #start(): void {
    while (!this.#isDraining && this.#running.size < this.#concurrency) {
      const job = this.#waiting.shift()
      if (job === undefined) return
      if (job.delivered.lost.aborted) continue
      this.#running.add(job)
      void this.#work(job).then(() => this.#finish(job))
    }
  }

  #finish(job: Job): void {
    job.keeper?.cancel()
    this.#running.delete(job)
    this.#finished += 1
    if (this.#running.size === 0) this.#idle?.()
    this.#start()
  }

  async #releaseWaiting(): Promise<number> {
    const jobs = this.#waiting.splice(0)
    for (const job of jobs) job.keeper?.cancel()
    await Promise.all(jobs.map(({ delivered }) => delivered.release({}).catch(() => undefined)))
    return jobs.length
  }

  /** Extends the lease each time that half of it is over. */
  #keep(job: Job): void {
    const { clock, scheduler } = this.#parts
    const { delivered } = job
    job.keeper = scheduler.at(clock.now() + delivered.leaseMs / 2, () => {
      if (delivered.lost.aborted || this.#ending.signal.aborted) return
      // A failure shows as a lost lease; a lost reply is made good by the next extension.
      delivered.extend(delivered.leaseMs, {}).catch(() => undefined)
      this.#keep(job)
    })
  }

  async #work({ delivered }: Job): Promise<void> {
    const run = new HandlerRun(this.#parts, delivered, this.#ending.signal)
    try {
      const message = await receivedMessage(this.#definition, delivered, this.#parts)
      if (message === undefined) return
      await this.#handler(message, run)
    } catch (error) {
      if (!run.isCommitted) await this.#fail(delivered, error)
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
        await this.#fail(delivered, error)
      }
    }
  }

  async #fail(delivered: Delivered, error: unknown): Promise<void> {
    // What ended because the worker ends, or has lost its lease, has not failed: it goes back as it is.
    if (this.#ending.signal.aborted || delivered.lost.aborted) return
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

class HandlerRun implements HandlerContext {
  readonly signal: AbortSignal
  readonly attempt: number
  isCommitted = false
  readonly #delivered: Delivered
  readonly #codec: MessageParts['codec']
  readonly #effects: EffectBuffer

  constructor(parts: MessageParts, delivered: Delivered, ending: AbortSignal) {
    this.#delivered = delivered
    this.#codec = parts.codec
    this.#effects = new EffectBuffer(parts)
    this.attempt = delivered.attempt
    this.signal = AbortSignal.any([delivered.lost, ending])
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
    this.#open()
    if (this.#effects.isEmpty) await this.#delivered.acknowledge({})
    else await this.#delivered.commit(await this.#effects.all(), {})
    this.isCommitted = true
  }

  progress(value: unknown): Promise<void> {
    return this.#delivered.progress(this.#codec.encode(value), {})
  }

  extend(lease: Millis): Promise<void> {
    return this.#delivered.extend(lease, {})
  }

  #open(): EffectBuffer {
    if (this.isCommitted)
      throw invalidArgument('the message has been committed: nothing can happen along with it any more')
    return this.#effects
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

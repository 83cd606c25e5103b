/** A worker runs a handler for the messages of a queue, several at once, and keeps their leases meanwhile. */

import { checkDuration, checkFunction, invalidArgument, refuseUnknownOptions } from '../base/argument.ts'
import { isTroupeError } from '../base/error.ts'
import { DEFAULT_DRAIN_MS, type Millis, type Timer } from '../base/time.ts'
import { checkSignal, NO_OPTIONS } from '../data/call.ts'
import { facetOf } from '../data/facet.ts'
import { checkBound } from '../data/key.ts'
import { within } from '../data/patience.ts'
import { validate } from '../data/schema.ts'
import type { Delivered } from '../driver/contract.ts'
import { BatchRun } from './batch-run.ts'
import { encodeFailure, failureRecord } from './failure-record.ts'
import type { BatchHandler, BatchWorkOptions, DrainResult, Handler, Worker, WorkOptions } from './handler.ts'
import { HandlerRun } from './handler-run.ts'
import { insist } from './insist.ts'
import { type MessageParts, pause } from './parts.ts'
import type { QueueDefinition, QueueMessage } from './queue.ts'
import { decide } from './retry.ts'

export const WORK_OPTIONS: ReadonlySet<string> = new Set(['concurrency', 'prefetch', 'consumer', 'signal', 'onFailure'])
export const BATCH_WORK_OPTIONS: ReadonlySet<string> = new Set([...WORK_OPTIONS, 'size', 'linger'])
const MOST_BATCHED = 1000
const LINGER_MS: Millis = 10
const DRAIN_OPTIONS: ReadonlySet<string> = new Set(['timeout'])

type BatchSize = Pick<BatchWorkOptions, 'size' | 'linger'>

/** What works messages off: one by one, or several at a time. */
export type Work<Value> =
  | { readonly handler: Handler<Value>; readonly batch?: undefined }
  | { readonly handler: BatchHandler<Value>; readonly batch: BatchSize }

export class QueueWorker<Value, Input> implements Worker {
  readonly ended: Promise<void>
  readonly #parts: MessageParts
  readonly #definition: QueueDefinition<Value, Input>
  readonly #work: Work<Value>
  readonly #options: WorkOptions
  readonly #concurrency: number
  readonly #deliveries: AsyncIterator<Delivered>
  readonly #waiting: HandlerRun[] = []
  readonly #running = new Set<HandlerRun>()
  /** Handlers under way. */
  #busy = 0
  /** Runs while the first messages of a batch wait for more. */
  #gathering: Timer | undefined
  #isGathered = false
  readonly #ending = new AbortController()
  readonly #draining = new AbortController()
  /** One for all messages: most are done long before their leases are extended. */
  #keeper: Timer | undefined
  #keeperAt: Millis = Number.POSITIVE_INFINITY
  #idle: (() => void) | undefined
  #drained: Promise<DrainResult> | undefined
  #finished = 0
  #released = 0

  constructor(parts: MessageParts, definition: QueueDefinition<Value, Input>, work: Work<Value>, options: WorkOptions) {
    const { concurrency = 1, consumer = 'worker', signal, onFailure } = options
    const { handler, batch } = work
    checkBound('consumer', consumer)
    checkSignal(signal)
    if (onFailure !== undefined) checkFunction('onFailure', onFailure)
    if (batch !== undefined) checkBatch(batch)
    checkFunction('a handler', handler)
    if (!(Number.isSafeInteger(concurrency) && concurrency >= 1))
      throw invalidArgument('concurrency is a whole number from 1')
    const most = concurrency * (batch?.size ?? 1)
    const prefetch = options.prefetch ?? most
    if (!(Number.isSafeInteger(prefetch) && prefetch >= 0)) throw invalidArgument('prefetch is a whole number from 0')
    this.#parts = parts
    this.#definition = definition
    this.#work = work
    this.#options = options
    this.#concurrency = concurrency
    const { name, rules } = definition
    const credit = most + prefetch
    this.#deliveries = facetOf(parts.driver, 'queue')
      .consume({ name, rules }, { consumer, credit, draining: this.#draining.signal })
      [Symbol.asyncIterator]()
    this.ended = this.#pull()
    this.ended.catch(() => undefined)
    if (signal?.aborted === true || parts.ending.aborted) {
      void this.close()
      return
    }
    parts.workers.add(this)
    // A signal of its own: Node warns of a leak when one has more than ten listeners.
    if (signal !== undefined) {
      const end = AbortSignal.any([signal])
      end.addEventListener('abort', () => void this.close(), { once: true, signal: this.#ending.signal })
    }
  }

  async drain(options: { readonly timeout?: Millis } = NO_OPTIONS): Promise<DrainResult> {
    refuseUnknownOptions('worker.drain', options, DRAIN_OPTIONS)
    const { timeout = DEFAULT_DRAIN_MS } = options
    checkDuration('timeout', timeout)
    this.#drained ??= this.#drain(timeout)
    return this.#drained
  }

  async #drain(timeout: Millis): Promise<DrainResult> {
    this.#draining.abort()
    this.#finished = 0
    this.#released = 0
    await Promise.all(this.#waiting.splice(0).map(({ delivered }) => this.#release(delivered)))
    const timeUp = new AbortController()
    if (this.#running.size > 0) {
      const idle = new Promise<void>((resolve) => {
        this.#idle = resolve
      })
      await Promise.race([idle, pause(this.#parts, timeout, timeUp.signal).catch(() => undefined)])
    }
    timeUp.abort()
    const result = { finished: this.#finished, released: this.#released, abandoned: this.#running.size }
    await this.close()
    return result
  }

  async close(): Promise<void> {
    this.#parts.workers.delete(this)
    this.#draining.abort()
    if (!this.#ending.signal.aborted) this.#ending.abort(new Error('the worker has ended'))
    this.#keeper?.cancel()
    this.#gathering?.cancel()
    this.#waiting.length = 0
    for (const run of this.#running) run.end(this.#ending.signal.reason)
    this.#idle?.()
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
    if (this.#draining.signal.aborted) {
      void this.#release(delivered)
      return
    }
    const run = new HandlerRun(this.#parts, this.#definition.name, delivered, this.#keep)
    this.#keep(run.keepAt)
    this.#waiting.push(run)
    this.#start()
  }

  #start(): void {
    const { handler, batch } = this.#work
    while (!this.#draining.signal.aborted && this.#busy < this.#concurrency) {
      if (batch !== undefined) {
        if (!this.#gather(batch)) return
        const runs = this.#waiting.splice(0, batch.size).filter(({ isLost }) => !isLost)
        this.#begin(runs, this.#handleTogether(runs, handler))
        continue
      }
      const run = this.#waiting.shift()
      if (run === undefined) return
      if (!run.isLost) this.#begin([run], this.#handle(run, handler))
    }
  }

  /** Whether there is a batch to begin with: full, or waited for. */
  #gather({ size, linger = LINGER_MS }: BatchSize): boolean {
    const isReady = this.#waiting.length >= size || (this.#isGathered && this.#waiting.length > 0)
    if (isReady || this.#waiting.length === 0) {
      this.#gathering?.cancel()
      this.#gathering = undefined
      this.#isGathered = false
      return isReady
    }
    const { clock, scheduler } = this.#parts
    this.#gathering ??= scheduler.at(clock.now() + linger, () => {
      this.#isGathered = true
      this.#start()
    })
    return false
  }

  #begin(runs: readonly HandlerRun[], handled: Promise<void>): void {
    this.#busy += 1
    for (const run of runs) this.#running.add(run)
    void handled.then(() => this.#finish(runs))
  }

  #finish(runs: readonly HandlerRun[]): void {
    for (const run of runs) this.#running.delete(run)
    this.#busy -= 1
    this.#finished += runs.length
    if (this.#running.size === 0) this.#idle?.()
    this.#start()
  }

  async #release(delivered: Delivered): Promise<void> {
    this.#released += 1
    await delivered.release({}).catch(() => undefined)
  }

  readonly #keep = (at: Millis): void => {
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

  async #handle(run: HandlerRun, handler: Handler<Value>): Promise<void> {
    const { delivered } = run
    try {
      const message = await receivedMessage(this.#definition, delivered, this.#parts)
      if (message === undefined) return
      run.message = message
      await handler(message, run)
    } catch (error) {
      await this.#fail(run, error)
      return
    }
    await this.#commit(run)
  }

  /** Their acknowledgements leave together, and are one entry in each shard's log. */
  async #handleTogether(runs: readonly HandlerRun[], handler: BatchHandler<Value>): Promise<void> {
    const received = new Map<QueueMessage<Value>, HandlerRun>()
    const receive = async (run: HandlerRun): Promise<void> => {
      try {
        const message = await receivedMessage(this.#definition, run.delivered, this.#parts)
        if (message === undefined) return
        run.message = message
        received.set(message, run)
      } catch (error) {
        await this.#fail(run, error)
      }
    }
    await Promise.all(runs.map(receive))
    if (received.size === 0) return
    const batch = new BatchRun(received)
    let thrown: { readonly error: unknown } | undefined
    try {
      await handler(batch.messages, batch)
    } catch (error) {
      thrown = { error }
    }
    const settle = (run: HandlerRun): Promise<void> => {
      const failure = batch.failureOf(run) ?? thrown
      return failure === undefined ? this.#commit(run) : this.#fail(run, failure.error)
    }
    await Promise.all(Array.from(received.values(), settle))
  }

  async #commit(run: HandlerRun): Promise<void> {
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

  async #fail({ delivered, isLost, isCommitted }: HandlerRun, error: unknown): Promise<void> {
    // What ended because the worker ends, or has lost its lease, has not failed: it goes back as it is.
    if (this.#ending.signal.aborted || isLost || isCommitted) return
    const decision = decide(this.#definition.retry, error, delivered.attempt, this.#parts.random)
    const record = encodeFailure(error)
    const settle = (): Promise<void> =>
      decision === 'reject' ? delivered.reject('rejected', record, {}) : delivered.retry(decision, record, {})
    await insist(this.#parts, delivered, settle).catch(() => undefined)
    // A listener that fails, at once or later, must not cost the worker the handlers that it runs.
    this.#tell(error, delivered).catch(() => undefined)
  }

  async #tell(error: unknown, { id, attempt }: Delivered): Promise<void> {
    await this.#options.onFailure?.(failureRecord(error), { id, attempt })
  }
}

function checkBatch(batch: BatchSize): void {
  const { size, linger = LINGER_MS } = batch
  if (!(Number.isSafeInteger(size) && size >= 1 && size <= MOST_BATCHED))
    throw invalidArgument(`size is a whole number from 1 to ${MOST_BATCHED}`)
  checkDuration('linger', linger)
}

/**
 * Undefined when its value does not fit the schema: then it is a dead letter with the issues. Rejects when a large
 * payload cannot be fetched.
 */
export async function receivedMessage<Value, Input>(
  { name, schema }: QueueDefinition<Value, Input>,
  delivered: Delivered,
  parts: MessageParts,
): Promise<QueueMessage<Value> | undefined> {
  const { id, key, headers, attempt, sentAt, large } = delivered
  const payload = large === undefined ? delivered.payload : await large.fetch()
  try {
    const stored = parts.codec.decode(payload)
    const valid = schema === undefined ? (stored as Value) : validate(schema, stored, `message ${id} of '${name}'`)
    const isLate = valid instanceof Promise
    const value = isLate ? await within(valid, `the schema of '${name}'`, { signal: delivered.lost }, parts) : valid
    return { id, key, value, headers, attempt, sentAt }
  } catch (error) {
    const record = encodeFailure(error)
    await insist(parts, delivered, () => delivered.reject('validation', record, {})).catch(() => undefined)
    return undefined
  }
}

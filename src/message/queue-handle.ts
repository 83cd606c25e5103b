/** The queue handle turns calls on a queue into calls of a driver: it checks arguments, validates, encodes and decodes. */

import {
  checkDuration,
  checkFunction,
  checkIterable,
  checkLimit,
  checkTime,
  invalidArgument,
  refuseUnknownOptions,
} from '../base/argument.ts'
import { isTroupeError, TroupeError } from '../base/error.ts'
import { PARENT_HEADER, REQUEST_HEADER } from '../base/headers.ts'
import { PAYLOAD_LIMIT_BYTES } from '../base/limit.ts'
import { DEFAULT_TIMEOUT_MS, type Millis, type WallMillis } from '../base/time.ts'
import { CALL_OPTIONS, callOf, checkCall, checkFence, checkSignal, fencedCallOf, NO_OPTIONS } from '../data/call.ts'
import { facetOf } from '../data/facet.ts'
import { checkBound } from '../data/key.ts'
import { afterwards, isPromise } from '../data/patience.ts'
import { endOf, mapStream } from '../data/stream.ts'
import type {
  CallOptions,
  Delivered,
  InspectedMessage,
  NamedQueue,
  QueueFacet,
  QueueStats,
  Sent,
} from '../driver/contract.ts'
import { decodeFailure, encodeFailure } from './failure-record.ts'
import { ChildList, type FlowChildren, type FlowOptions } from './flow.ts'
import type { BatchHandler, BatchWorkOptions, Handler, Worker, WorkOptions } from './handler.ts'
import { outgoingMessage, SEND_OPTIONS } from './outgoing.ts'
import { type MessageParts, pause } from './parts.ts'
import { type QueueDefinition, type QueueMessage, rateOf, type SendOptions } from './queue.ts'
import { decide } from './retry.ts'
import type {
  InspectedQueueMessage,
  PeekOptions,
  ReceivedMessage,
  ReceiveOptions,
  RedriveOptions,
  TroupeQueue,
} from './troupe-queue.ts'
import { BATCH_WORK_OPTIONS, QueueWorker, receivedMessage, WORK_OPTIONS } from './worker.ts'

const FLOW_OPTIONS: ReadonlySet<string> = new Set([...CALL_OPTIONS, 'name', 'key', 'ttl', 'priority', 'headers'])
const RETRY_OPTIONS: ReadonlySet<string> = new Set([...CALL_OPTIONS, 'delay'])
const RECEIVE_OPTIONS: ReadonlySet<string> = new Set(['signal', 'prefetch', 'consumer'])
const PEEK_OPTIONS: ReadonlySet<string> = new Set([...CALL_OPTIONS, 'state', 'limit'])
const REDRIVE_OPTIONS: ReadonlySet<string> = new Set([...CALL_OPTIONS, 'reason', 'filter', 'limit', 'rate'])
const STATES: ReadonlySet<string> = new Set(['waiting', 'delayed', 'dead'])
const REASONS: ReadonlySet<string> = new Set(['attempts', 'rejected', 'expired', 'overflow', 'validation'])
/** The engine takes no more at once: a redrive of more is several. */
const MOST_REDRIVEN = 10_000
const MOST_CHOSEN = 500

export class QueueHandle<Value, Input> implements TroupeQueue<Value, Input> {
  readonly name: string
  readonly #definition: QueueDefinition<Value, Input>
  readonly #parts: MessageParts
  readonly #queue: NamedQueue
  /** A message that stands alone may be larger than other values. */
  readonly #largeCodec: { encode(value: unknown): Uint8Array }

  constructor(definition: QueueDefinition<Value, Input>, parts: MessageParts) {
    this.name = definition.name
    this.#definition = definition
    this.#parts = parts
    this.#largeCodec = { encode: (value) => parts.codec.encode(value, PAYLOAD_LIMIT_BYTES) }
    this.#queue = { name: definition.name, rules: definition.rules }
  }

  // The hot path: no `async` frame of its own.

  send(value: Input, options: SendOptions = NO_OPTIONS): Promise<Sent> {
    try {
      checkCall('queue.send', options, SEND_OPTIONS)
      checkFence(options.fence)
      const facet = this.#facet()
      const message = outgoingMessage(this.#definition, value, options, this.#largeCodec)
      const call = fencedCallOf(options)
      if (!(message instanceof Promise)) return facet.send(this.#queue, message, call)
      return afterwards(this.#checked(message), call, this.#parts, (valid, left) =>
        facet.send(this.#queue, valid, left),
      )
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async sendFlow(
    value: Input,
    children: (children: FlowChildren) => void,
    options: FlowOptions = NO_OPTIONS,
  ): Promise<Sent> {
    checkCall('queue.sendFlow', options, FLOW_OPTIONS)
    const { codec, random } = this.#parts
    const { name = `${random.next()}${random.next()}`.replaceAll('0.', ''), ...sending } = options
    if (typeof name !== 'string' || name === '') throw invalidArgument('the name of a flow is a text')
    checkBound('the name of a flow', name)
    checkFunction('what names the children of a flow', children)
    const list = new ChildList(codec)
    if (isPromise(children(list) as unknown)) throw invalidArgument('the children of a flow are named at once')
    const message = Promise.resolve(outgoingMessage(this.#definition, value, sending, codec))
    const facet = this.#facet()
    return afterwards(
      this.#checked(Promise.all([message, list.all()])),
      callOf(options),
      this.#parts,
      ([valid, named], left) => facet.sendFlow({ name, queue: this.#queue, message: valid, children: named }, left),
    )
  }

  async request(value: Input, options: SendOptions = NO_OPTIONS): Promise<unknown> {
    checkCall('queue.request', options, SEND_OPTIONS)
    const { clock } = this.#parts
    const { timeout = DEFAULT_TIMEOUT_MS, signal, headers } = options
    const deadline = clock.now() + timeout
    const { id } = await this.send(value, { ...options, timeout, headers: { ...headers, [REQUEST_HEADER]: '1' } })
    try {
      const left = Math.max(1, deadline - clock.now())
      return await this.result(id, { timeout: left, ...(signal === undefined ? {} : { signal }) })
    } catch (error) {
      if (!isTroupeError(error, 'TIMEOUT')) throw error
      const details = { message: id }
      throw new TroupeError('OUTCOME_UNKNOWN', `message ${id} was sent, but is not done yet: ask for its \`result\``, {
        details,
        cause: error,
      })
    }
  }

  async result(id: string, options: CallOptions = NO_OPTIONS): Promise<unknown> {
    checkCall('queue.result', options, CALL_OPTIONS)
    checkId(id)
    const result = await this.#facet().result(this.name, id, options)
    return result === undefined ? undefined : this.#parts.codec.decode(result)
  }

  async sendAll(values: Iterable<Input>, options: SendOptions = NO_OPTIONS): Promise<readonly Sent[]> {
    checkIterable('queue.sendAll', values)
    // All of them are listed first: an iterable that fails half-way has sent nothing.
    const ends = await Promise.allSettled(Array.from(values).map((value) => this.send(value, options)))
    return ends.map((end) => {
      if (end.status === 'rejected') throw end.reason
      return end.value
    })
  }

  work(handler: Handler<Value>, options: WorkOptions = NO_OPTIONS): Worker {
    refuseUnknownOptions('queue.work', options, WORK_OPTIONS)
    return new QueueWorker(this.#parts, this.#definition, { handler }, options)
  }

  workBatches(handler: BatchHandler<Value>, options: BatchWorkOptions): Worker {
    refuseUnknownOptions('queue.workBatches', options, BATCH_WORK_OPTIONS)
    return new QueueWorker(this.#parts, this.#definition, { handler, batch: options }, options)
  }

  receive(options: ReceiveOptions = NO_OPTIONS): AsyncIterable<ReceivedMessage<Value>> {
    refuseUnknownOptions('queue.receive', options, RECEIVE_OPTIONS)
    const { signal, prefetch = 1, consumer = 'receiver' } = options
    checkSignal(signal)
    checkBound('consumer', consumer)
    if (!(Number.isSafeInteger(prefetch) && prefetch >= 1)) throw invalidArgument('prefetch is a whole number from 1')
    const consume = { ...(signal === undefined ? {} : { signal }), consumer, credit: prefetch }
    return mapStream(
      () => this.#facet().consume(this.#queue, consume),
      (delivered) => this.#received(delivered),
      endOf(this.#parts.ending),
    )
  }

  async stats(options: CallOptions = NO_OPTIONS): Promise<QueueStats> {
    checkCall('queue.stats', options, CALL_OPTIONS)
    return this.#facet().stats(this.name, options)
  }

  peek(options: PeekOptions = NO_OPTIONS): AsyncIterable<InspectedQueueMessage> {
    checkCall('queue.peek', options, PEEK_OPTIONS)
    const { state = 'waiting', limit = 100, ...call } = options
    checkLimit('limit', limit)
    if (!STATES.has(state)) throw invalidArgument(`state is 'waiting', 'delayed' or 'dead'`)
    return mapStream(
      () => this.#facet().peek(this.name, state, { ...call, limit }),
      (message) => this.#inspected(message),
    )
  }

  async inspect(id: string, options: CallOptions = NO_OPTIONS): Promise<InspectedQueueMessage | undefined> {
    checkCall('queue.inspect', options, CALL_OPTIONS)
    checkId(id)
    const found = await this.#facet().inspect(this.name, id, options)
    return found === undefined ? undefined : this.#inspected(found)
  }

  async move(id: string, to: { readonly at: WallMillis }, options: CallOptions = NO_OPTIONS): Promise<boolean> {
    checkCall('queue.move', options, CALL_OPTIONS)
    checkId(id)
    checkTime('the `at` of queue.move', to?.at)
    return this.#facet().move(this.name, id, { dueAt: to.at }, options)
  }

  async remove(id: string, options: CallOptions = NO_OPTIONS): Promise<boolean> {
    checkCall('queue.remove', options, CALL_OPTIONS)
    checkId(id)
    return this.#facet().remove(this.name, id, options)
  }

  async pause(options: CallOptions = NO_OPTIONS): Promise<void> {
    checkCall('queue.pause', options, CALL_OPTIONS)
    return this.#facet().pause(this.name, true, options)
  }

  async resume(options: CallOptions = NO_OPTIONS): Promise<void> {
    checkCall('queue.resume', options, CALL_OPTIONS)
    return this.#facet().pause(this.name, false, options)
  }

  async purge(what: 'waiting' | 'dead' | 'all' = 'waiting', options: CallOptions = NO_OPTIONS): Promise<number> {
    checkCall('queue.purge', options, CALL_OPTIONS)
    if (!['waiting', 'dead', 'all'].includes(what))
      throw invalidArgument(`queue.purge takes 'waiting', 'dead' or 'all'`)
    return this.#facet().purge(this.name, what, options)
  }

  async delete(options: CallOptions = NO_OPTIONS): Promise<number> {
    checkCall('queue.delete', options, CALL_OPTIONS)
    return this.#facet().delete(this.name, options)
  }

  deadLetters(options: CallOptions & { readonly limit?: number } = NO_OPTIONS): AsyncIterable<InspectedQueueMessage> {
    return this.peek({ ...options, state: 'dead' })
  }

  async redrive(options: RedriveOptions = NO_OPTIONS): Promise<number> {
    checkCall('queue.redrive', options, REDRIVE_OPTIONS)
    const { filter, limit = Number.POSITIVE_INFINITY, rate } = options
    checkLimit('limit', limit)
    checkReason(options.reason)
    rateOf(rate)
    if (filter !== undefined) checkFunction('filter', filter)
    if (filter !== undefined || rate !== undefined) return this.#redriveChosen(filter ?? isAny, options)
    let total = 0
    for (;;) {
      const most = Math.min(limit - total, MOST_REDRIVEN)
      if (most <= 0) return total
      const reason = options.reason === undefined ? {} : { reason: options.reason }
      const count = await this.#facet().redrive(this.name, { limit: most, ...reason }, callOf(options))
      total += count
      if (count < most) return total
    }
  }

  /** Goes along all dead letters once: one that dies again meanwhile stays dead. */
  async #redriveChosen(filter: (message: InspectedQueueMessage) => boolean, options: RedriveOptions): Promise<number> {
    const { limit = Number.POSITIVE_INFINITY, rate, reason } = options
    const call = callOf(options)
    const most = Math.min(limit, rate?.messages ?? MOST_CHOSEN, MOST_CHOSEN)
    let total = 0
    let ids: string[] = []
    const bringBack = async (): Promise<void> => {
      if (rate !== undefined && total > 0) await pause(this.#parts, (rate.per * most) / rate.messages, options.signal)
      total += await this.#facet().redrive(this.name, { ids }, call)
      ids = []
    }
    for await (const message of this.#facet().peek(this.name, 'dead', { ...call, limit: Number.MAX_SAFE_INTEGER })) {
      if (total + ids.length >= limit) break
      if (reason !== undefined && message.death !== reason) continue
      const isChosen: unknown = filter(this.#inspected(message))
      if (isPromise(isChosen))
        throw invalidArgument('the filter of queue.redrive answers at once: it is no async function')
      if (!isChosen) continue
      ids.push(message.id)
      if (ids.length === most) await bringBack()
    }
    if (ids.length > 0) await bringBack()
    return total
  }

  /** One whose payload does not come has failed as if its receiver had said so. */
  async #received(delivered: Delivered): Promise<ReceivedMessage<Value> | undefined> {
    try {
      const message = await receivedMessage(this.#definition, delivered, this.#parts)
      return message && this.#settleable(message, delivered)
    } catch (error) {
      const delay = decide(this.#definition.retry, error, delivered.attempt, this.#parts.random)
      const record = encodeFailure(error)
      const settled = delay === 'reject' ? delivered.reject('rejected', record, {}) : delivered.retry(delay, record, {})
      await settled.catch(() => undefined)
      return undefined
    }
  }

  #settleable(message: QueueMessage<Value>, delivered: Delivered): ReceivedMessage<Value> {
    const { retry: policy } = this.#definition
    const { random, codec } = this.#parts
    const none: CallOptions = NO_OPTIONS
    const checked = (name: string, options: CallOptions): CallOptions => {
      checkCall(`message.${name}`, options, CALL_OPTIONS)
      return options
    }
    return {
      ...message,
      get signal() {
        return delivered.lost
      },
      acknowledge: async (options = none) => acknowledge(message, delivered, codec, checked('acknowledge', options)),
      retry: async (error: unknown, options: CallOptions & { readonly delay?: Millis } = none) => {
        checkCall('message.retry', options, RETRY_OPTIONS)
        if (options.delay !== undefined) checkDuration('delay', options.delay)
        const decision = options.delay ?? decide(policy, error, delivered.attempt, random)
        if (decision === 'reject') return delivered.reject('rejected', encodeFailure(error), callOf(options))
        return delivered.retry(decision, encodeFailure(error), callOf(options))
      },
      reject: async (error: unknown, options = none) =>
        delivered.reject('rejected', encodeFailure(error), checked('reject', options)),
      release: async (options = none) => delivered.release(checked('release', options)),
      extend: async (lease: Millis, options = none) => {
        checkDuration('a lease', lease, 1)
        return delivered.extend(lease, checked('extend', options))
      },
      progress: async (value: unknown, options = none) =>
        delivered.progress(codec.encode(value), checked('progress', options)),
    }
  }

  #inspected(message: InspectedMessage): InspectedQueueMessage {
    const { payload, firstError, lastError, progress, result, ...rest } = message
    const { codec } = this.#parts
    return {
      ...rest,
      value: payload.length === 0 ? undefined : codec.decode(payload),
      firstError: decodeFailure(firstError),
      lastError: decodeFailure(lastError),
      progress: progress === undefined ? undefined : codec.decode(progress),
      result: result === undefined ? undefined : codec.decode(result),
    }
  }

  #checked<Valid>(promised: Promise<Valid>): { readonly promised: Promise<Valid>; readonly what: string } {
    return { promised, what: `the schema of '${this.name}'` }
  }

  #facet(): QueueFacet {
    return facetOf(this.#parts.driver, 'queue')
  }
}

function isAny(): boolean {
  return true
}

function checkId(id: string): void {
  if (typeof id !== 'string')
    throw invalidArgument(`a message has the id that its send returned, a text and not ${typeof id}`)
}

function checkReason(reason: string | undefined): void {
  if (reason === undefined || REASONS.has(reason)) return
  throw invalidArgument(`reason is one of ${[...REASONS].join(', ')}`)
}

/** Whoever waits for the message learns that it is done. */
function acknowledge(
  { headers }: Pick<ReceivedMessage<unknown>, 'headers'>,
  delivered: Delivered,
  codec: MessageParts['codec'],
  options: CallOptions,
): Promise<void> {
  const parent = headers[PARENT_HEADER]
  if (parent === undefined) return delivered.acknowledge(options)
  return delivered.commit([{ type: 'arrive', parent, value: codec.encode(undefined) }], options)
}

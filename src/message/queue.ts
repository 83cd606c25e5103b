/** A queue keeps messages until each has been worked off by one of those who share the work. */

import { checkDuration, checkFlag, invalidArgument, refuseUnknownOptions } from '../base/argument.ts'
import type { Millis, WallMillis } from '../base/time.ts'
import { checkBound } from '../data/key.ts'
import type { SelfFitting } from '../data/map.ts'
import { checkName, checkSchema, placedName } from '../data/name.ts'
import type { InputOf, OutputOf, StandardSchema } from '../data/schema.ts'
import type { CallOptions, DeduplicationMode, Fence, Overflow, QueueOrder, QueueRules } from '../driver/contract.ts'
import type { RetryPolicy } from './retry.ts'
import { exponentialDelay } from './retry.ts'

/** Names a queue and says what it holds and how it is worked off. Made by {@link defineQueue}. */
export interface QueueDefinition<Value, Input = Value> {
  readonly kind: 'queue'
  /** With its placement, if it has one: `name@placement`. */
  readonly name: string
  readonly schema: StandardSchema<Input, Value> | undefined
  /** Undefined: the queue keeps those that it has. */
  readonly rules: QueueRules | undefined
  readonly retry: RetryPolicy
}

/**
 * `messages` in each period of `per` milliseconds on average, evenly spread. What was not used is saved up, a period's
 * worth at most: after a pause one period may see twice as many. A new leader does not know what was handed out before:
 * it begins with one, and nothing saved up.
 */
export interface RateLimit {
  readonly messages: number
  readonly per: Millis
}

/** How a queue is worked off, and what bounds it. */
export interface QueueOptions {
  /** What has the same placement has its equal keys in the same shard, so that one commit can change them together. */
  readonly placement?: string
  /**
   * `'key'` (the default): messages of one key one at a time, oldest first, also through retries. `'none'`: as soon as
   * somebody is free.
   */
  readonly order?: QueueOrder
  /** Deliveries before a message becomes a dead letter; default 5. */
  readonly maxAttempts?: number
  /** When a failed message is tried again; default {@link exponentialDelay} from one second, with a jitter of 0.2. */
  readonly retry?: RetryPolicy
  /** Milliseconds after which a message whose worker is silent goes to another; default 30,000. Workers extend it while a handler runs. */
  readonly lease?: Millis
  /** Most messages that wait, in each shard; default 1,000,000. */
  readonly limit?: number
  /**
   * At the limit: `'reject'` (the default) refuses with `FULL`, `'drop-oldest'` makes the oldest a dead letter,
   * `'block'` waits for room.
   */
  readonly overflow?: Overflow
  /**
   * Most messages under way at once in the whole cluster; the queue then lives in one shard. When a leader is lost
   * others get what it had handed out, so a handler counts until its signal aborts: one that goes on after that may be
   * one too many.
   */
  readonly concurrency?: number
  /** Most deliveries in the whole cluster; the queue then lives in one shard. */
  readonly rate?: RateLimit
  /** The same limits for each key; they cost nothing. */
  readonly perKey?: PerKeyOptions
  /** How long dead letters are kept, in milliseconds; default 14 days. */
  readonly deadLetter?: { readonly keep?: Millis }
  /** All messages in one shard, so that priorities hold across all keys; default false. */
  readonly single?: boolean
  /**
   * Leaves the queue the rules that others gave it, for tools that only look after queues: none of the options above
   * but `placement` and `retry` goes with it.
   */
  readonly keepRules?: boolean
}

/** Limits and shares of single keys. */
export interface PerKeyOptions {
  /** Most messages of a key under way at once; with order `'key'` it is one. */
  readonly concurrency?: number
  /** Most deliveries of a key. */
  readonly rate?: RateLimit
  /**
   * Shares of keys that compete, 1 (the default) to 1,000, of at most 1,000 keys. Keys take turns: one with a weight of
   * 3 has three messages delivered in each of its turns.
   */
  readonly weights?: Readonly<Record<string, number>>
}

/** The options of a queue whose values have a schema. */
export interface QueueSchemaOptions<Schema> extends QueueOptions {
  /** Checks values when they are sent, and again when they are received: what no longer fits becomes a dead letter. */
  readonly schema: Schema
}

const DEFINITION_OPTIONS: ReadonlySet<string> = new Set([
  'schema',
  'placement',
  'order',
  'maxAttempts',
  'retry',
  'lease',
  'limit',
  'overflow',
  'concurrency',
  'rate',
  'perKey',
  'deadLetter',
  'single',
  'keepRules',
])
/** Those that are no rules of the queue. */
const RULELESS_OPTIONS: ReadonlySet<string> = new Set(['schema', 'placement', 'retry', 'keepRules'])
const PER_KEY_OPTIONS: ReadonlySet<string> = new Set(['concurrency', 'rate', 'weights'])
const RATE_OPTIONS: ReadonlySet<string> = new Set(['messages', 'per'])
const DEAD_LETTER_OPTIONS: ReadonlySet<string> = new Set(['keep'])
const ORDERS: readonly QueueOrder[] = ['key', 'none']
const OVERFLOWS: readonly Overflow[] = ['reject', 'drop-oldest', 'block']
const NO_LIMIT = Number.POSITIVE_INFINITY
const WEIGHTS_LIMIT = 1000
const WEIGHT_LIMIT = 1000
const DAY_MS = 24 * 3_600_000

/**
 * Defines a queue. Nothing is created: a queue exists as soon as it was used, and takes its rules from whoever uses it
 * last.
 *
 * @param name 1 to 128 of `A–Z a–z 0–9 . _ : / -`
 * @throws TroupeError `INVALID_ARGUMENT`
 * @example
 * const emails = defineQueue('emails', { schema: z.object({ to: z.string() }), maxAttempts: 8, perKey: { concurrency: 2 } })
 */
export function defineQueue<Schema extends StandardSchema>(
  name: string,
  options: QueueSchemaOptions<Schema & SelfFitting<Schema>>,
): QueueDefinition<OutputOf<Schema>, InputOf<Schema>>
export function defineQueue<Value = unknown>(name: string, options?: QueueOptions): QueueDefinition<Value>
export function defineQueue(
  name: string,
  options: QueueOptions & { readonly schema?: StandardSchema } = {},
): QueueDefinition<unknown> {
  checkName('a queue', name)
  refuseUnknownOptions('defineQueue', options, DEFINITION_OPTIONS)
  const { schema, placement, keepRules = false, retry = exponentialDelay({ jitter: 0.2 }) } = options
  checkFlag('keepRules', keepRules)
  checkSchema(`queue '${name}'`, schema)
  if (typeof retry !== 'function')
    throw invalidArgument(`retry of queue '${name}' is a function, such as fixedDelay(1_000)`)
  return {
    kind: 'queue',
    name: placedName(name, placement),
    schema,
    rules: keepRules ? noRules(name, options) : rulesOf(options),
    retry,
  }
}

function noRules(name: string, options: QueueOptions): undefined {
  const given = Object.keys(options).find((option) => !RULELESS_OPTIONS.has(option))
  if (given !== undefined) throw invalidArgument(`queue '${name}' keeps its rules, so '${given}' cannot be set`)
}

function rulesOf(options: QueueOptions): QueueRules {
  const { order = 'key', overflow = 'reject', perKey = {}, deadLetter = {}, single = false } = options
  refuseUnknownOptions('perKey', perKey, PER_KEY_OPTIONS)
  refuseUnknownOptions('deadLetter', deadLetter, DEAD_LETTER_OPTIONS)
  checkFlag('single', single)
  if (!ORDERS.includes(order)) throw invalidArgument(`order is 'key' or 'none'`)
  if (!OVERFLOWS.includes(overflow)) throw invalidArgument(`overflow is 'reject', 'drop-oldest' or 'block'`)
  const rate = rateOf(options.rate)
  const keyRate = rateOf(perKey.rate)
  const keyWeights = weightsOf(perKey.weights ?? {})
  const concurrency = whole('concurrency', options.concurrency ?? NO_LIMIT)
  return {
    order,
    maxAttempts: whole('maxAttempts', options.maxAttempts ?? 5),
    leaseMs: duration('lease', options.lease ?? 30_000),
    limit: whole('limit', options.limit ?? 1_000_000),
    overflow,
    concurrency,
    keyConcurrency: whole('perKey.concurrency', perKey.concurrency ?? NO_LIMIT),
    rate: rate.messages,
    ratePeriodMs: rate.per,
    keyRate: keyRate.messages,
    keyRatePeriodMs: keyRate.per,
    deadKeepMs: keepOf(deadLetter.keep ?? 14 * DAY_MS),
    single: single || concurrency !== NO_LIMIT || rate.messages !== NO_LIMIT,
    keyWeights,
  }
}

function weightsOf(weights: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  if (Object.prototype.toString.call(weights) !== '[object Object]')
    throw invalidArgument('perKey.weights is a plain object of numbers')
  const entries = Object.entries(weights)
  if (entries.length > WEIGHTS_LIMIT) throw invalidArgument(`perKey.weights has at most ${WEIGHTS_LIMIT} keys`)
  for (const [key, weight] of entries) {
    checkBound('a key of perKey.weights', key)
    if (Number.isInteger(weight) && weight >= 1 && weight <= WEIGHT_LIMIT) continue
    throw invalidArgument(`the weight of '${key}' is a whole number from 1 to ${WEIGHT_LIMIT}`)
  }
  return weights
}

/** No limit where there is none. */
export function rateOf(rate: RateLimit | undefined): RateLimit {
  if (rate === undefined) return { messages: NO_LIMIT, per: 1000 }
  refuseUnknownOptions('rate', rate, RATE_OPTIONS)
  return { messages: whole('rate.messages', rate.messages), per: duration('rate.per', rate.per) }
}

/** A whole number from 1, or Infinity. */
function whole(option: string, value: number): number {
  if (value === NO_LIMIT || (Number.isSafeInteger(value) && value >= 1)) return value
  throw invalidArgument(`${option} is a whole number from 1, or Infinity`)
}

function duration(option: string, value: Millis): Millis {
  checkDuration(option, value, 1)
  return value
}

/** To keep nothing is to keep it for a millisecond: where rules are stored, 0 is for ever. */
function keepOf(value: Millis): Millis {
  if (value !== NO_LIMIT) checkDuration('deadLetter.keep', value)
  return Math.max(1, Math.ceil(value))
}

/** When a message comes, before or after which others, and on what it depends. */
export interface SendOptions extends CallOptions {
  /** Messages of one key keep their order; none: any free worker takes them. */
  readonly key?: string
  /** Milliseconds until it is delivered; what lies in the past is due now. */
  readonly delay?: Millis
  /** A point of the calendar instead of a delay, in milliseconds since 1970. */
  readonly at?: WallMillis
  /** Milliseconds after which it becomes a dead letter, unless it was acknowledged. Default: never. */
  readonly ttl?: Millis
  /** 0 (the default) to 9, higher first. */
  readonly priority?: number
  /**
   * A message with this id counts once in a window; see {@link DeduplicateOptions}. Give all messages of an id the
   * same key, or none: another key may lie in another shard, where the id is not known, unless the queue is `single`.
   */
  readonly deduplicate?: string | DeduplicateOptions
  /** Texts that travel along; `traceparent` and `tracestate` are W3C trace context. */
  readonly headers?: Readonly<Record<string, string>>
  /** A lock or office that this relies on: refused with `FENCED` once a newer token has been seen. */
  readonly fence?: Fence
}

/** Which messages are the same, for how long, and which of them counts. */
export interface DeduplicateOptions {
  readonly id: string
  /**
   * `'drop'` (the default): the earlier message stands. `'replace'`: it takes the new value and keeps its time.
   * `'debounce'`: the new value, and its delay begins anew. With both it follows what its key was sent meanwhile, and
   * whoever has the earlier one loses it. `'requeue'`: dropped for now, and sent once when the earlier one is done or
   * dead, but not when that is cancelled.
   */
  readonly mode?: DeduplicationMode
  /**
   * Milliseconds for which the earlier message counts, and at least as long as it is there; default 300,000. One that is
   * cancelled counts no more.
   */
  readonly window?: Millis
}

/** A message as a worker gets it. */
export interface QueueMessage<Value> {
  /** The same at each delivery: an idempotency key for what a handler does elsewhere. */
  readonly id: string
  /** `''` when it was sent without one. */
  readonly key: string
  readonly value: Value
  readonly headers: Readonly<Record<string, string>>
  /** 1 for the first; may lag by one for each change of leader in the middle of a delivery. */
  readonly attempt: number
  /** By the time of its shard's leader. */
  readonly sentAt: WallMillis
}

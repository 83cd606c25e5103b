/** What the cases of queues, topics and leases have in common. */

import type { Millis } from '../../base/time.ts'
import type {
  Delivered,
  Driver,
  LeaseFacet,
  NamedQueue,
  OutgoingMessage,
  QueueFacet,
  QueueRules,
  TopicFacet,
} from '../contract.ts'
import { bytes, ConformanceError, check } from './case.ts'

/** What a test runner hands to each case of a facet that waits. */
export interface TimedConformanceContext {
  readonly driver: Driver
  /** A name that no other case has used, for queues, topics, groups and locks. */
  readonly name: string
  /** A connection that the case may close without harm to others, to the same engine unless the driver has none. */
  readonly connect: () => Promise<Driver>
  /** Lets so many milliseconds pass, on whatever clock the driver runs. */
  readonly sleep: (duration: Millis) => Promise<void>
}

/** One promise of the contract, with time in its own hands. */
export interface TimedConformanceCase {
  readonly name: string
  readonly run: (context: TimedConformanceContext) => Promise<void>
}

/** Short enough that a suite on the real clock need not wait long. */
export const LEASE_MS: Millis = 1000

const NO_LIMIT = Number.POSITIVE_INFINITY

const RULES: QueueRules = {
  order: 'key',
  maxAttempts: 3,
  leaseMs: 30_000,
  limit: 1_000_000,
  overflow: 'reject',
  concurrency: NO_LIMIT,
  keyConcurrency: NO_LIMIT,
  rate: NO_LIMIT,
  ratePeriodMs: 1000,
  keyRate: NO_LIMIT,
  keyRatePeriodMs: 1000,
  deadKeepMs: 86_400_000,
  single: true,
  keyWeights: {},
}

export const MESSAGE: OutgoingMessage = {
  key: '',
  payload: bytes('payload'),
  headers: {},
  delay: 0,
  ttl: NO_LIMIT,
  priority: 0,
  deduplication: undefined,
}

function queueOf({ driver }: TimedConformanceContext): QueueFacet {
  if (driver.queue === undefined) throw new ConformanceError('the driver has no queue facet')
  return driver.queue
}

export function topicOf({ driver }: TimedConformanceContext): TopicFacet {
  if (driver.topic === undefined) throw new ConformanceError('the driver has no topic facet')
  return driver.topic
}

export function leaseOf({ driver }: TimedConformanceContext): LeaseFacet {
  if (driver.lease === undefined) throw new ConformanceError('the driver has no lease facet')
  return driver.lease
}

/** A queue of its own, a way to send texts to it, and one to receive them. */
export class QueueScene {
  readonly facet: QueueFacet
  readonly queue: NamedQueue
  readonly sleep: TimedConformanceContext['sleep']

  constructor(context: TimedConformanceContext, rules: Partial<QueueRules> = {}) {
    this.facet = queueOf(context)
    this.queue = { name: context.name, rules: { ...RULES, ...rules } }
    this.sleep = context.sleep
  }

  async send(text: string, message: Partial<OutgoingMessage> = {}): Promise<string> {
    return (await this.facet.send(this.queue, { ...MESSAGE, payload: bytes(text), ...message }, {})).id
  }

  consume(credit = 1, consumer = 'consumer'): AsyncIterator<Delivered> {
    return this.facet.consume(this.queue, { consumer, credit })[Symbol.asyncIterator]()
  }

  /** The next messages of a consumer, or fewer when nothing more comes within a while. */
  async take(consumer: AsyncIterator<Delivered>, count: number, patience: Millis = 5000): Promise<Delivered[]> {
    const taken: Delivered[] = []
    while (taken.length < count) {
      const next = await Promise.race([consumer.next(), this.sleep(patience)])
      if (next === undefined) throw new ConformanceError(`wanted ${count} messages, found ${texts(taken).join(' ')}`)
      check(next.done !== true, 'a consumer goes on until it is ended')
      taken.push(next.value)
    }
    return taken
  }

  /** Everything that is delivered and acknowledged until nothing comes for a while. */
  async drain(patience: Millis = 300): Promise<string[]> {
    const consumer = this.consume()
    const drained: string[] = []
    for (;;) {
      const next = await Promise.race([consumer.next(), this.sleep(patience)])
      if (next === undefined || next.done === true) break
      drained.push(...texts([next.value]))
      await next.value.acknowledge({})
    }
    await consumer.return?.()
    return drained
  }
}

export function texts(delivered: readonly { readonly payload: Uint8Array }[]): string[] {
  return delivered.map(({ payload }) => new TextDecoder().decode(payload))
}

/** The item, or a broken promise when there is none. */
export function only<Item>(items: readonly Item[]): Item {
  const [item] = items
  if (item === undefined) throw new ConformanceError('wanted something, found nothing')
  return item
}

export async function gather<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const gathered: Item[] = []
  for await (const item of items) gathered.push(item)
  return gathered
}

/** Waits for what becomes true by itself. */
export async function eventually(
  { sleep }: Pick<TimedConformanceContext, 'sleep'>,
  what: string,
  holds: () => boolean | Promise<boolean>,
): Promise<void> {
  for (let round = 0; round < 100; round++) {
    if (await holds()) return
    await sleep(50)
  }
  throw new ConformanceError(`never came true: ${what}`)
}

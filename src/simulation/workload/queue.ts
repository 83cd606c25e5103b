/** The queue workload sends, delays, deduplicates, fails, abandons and acknowledges messages, some of which are poison. */

import { required } from '../../base/assert.ts'
import { isTroupeError } from '../../base/error.ts'
import type { SeededRandom } from '../../base/random.ts'
import type { Millis } from '../../base/time.ts'
import { facetOf } from '../../data/facet.ts'
import type { Delivered, NamedQueue, OutgoingMessage, QueueFacet, QueueRules } from '../../driver/contract.ts'
import { DeliveredMessage } from '../../driver/native/queue/delivered.ts'
import { defineQueue } from '../../message/queue.ts'
import { checkQueue, type DeathRecord, type DeliveryRecord, type QueueEvent, type SendRecord } from '../check/queue.ts'
import type { Coverage } from '../coverage.ts'
import type { Program, ProgramContext } from '../program.ts'
import { PIECE_FAULT } from '../scenario.ts'
import { attempt } from './attempt.ts'
import { auditor } from './auditor.ts'
import { producer } from './producer.ts'
import { clocksLie, lagOf, type Workload, type WorkloadPorts } from './workload.ts'

const SENDERS = 2
const CONSUMERS = 3
const KEYS = 4
const POISON = 'poison'
const CALL_MS: Millis = 5000
const UTF8 = new TextDecoder()
const TEXT = new TextEncoder()
/** Of a message whose payload comes in pieces: what it repeats. */
const CONTENT_HEADER = 'content'

/** What a seed decides about the queue. */
interface Shape {
  readonly queue: NamedQueue & { readonly rules: QueueRules }
  readonly pauseMs: Millis
  /** Of what a consumer does to a message, the share that is not an acknowledgement. */
  readonly mischief: number
  /** Most messages that a consumer holds at once. */
  readonly credit: number
  /** Pieces are damaged, and whoever has them whole may be out of reach for a while. */
  readonly rots: boolean
}

export function queueWorkload({ scenario, random, coverage }: WorkloadPorts): Workload {
  const shape = drawShape(random, scenario.faults.includes(PIECE_FAULT))
  const log = new QueueLog(coverage)
  const senders = Array.from({ length: SENDERS }, (_, at) => senderOf(`sender-${at}`, shape, log))
  const consumers = Array.from({ length: CONSUMERS }, (_, at) => consumerOf(`consumer-${at}`, shape, log))
  const { order, maxAttempts } = shape.queue.rules
  const isQuiet = scenario.faults.length === 0
  const promises = { order, maxAttempts, clocksLie: clocksLie(scenario), lagMs: lagOf(scenario), isQuiet }
  return {
    programs: [auditorOf(shape, log), ...senders, ...consumers],
    isDone: () => log.isAudited,
    judge: () => checkQueue(log.events, promises),
    history: log.events,
  }
}

function drawShape(random: SeededRandom, rots: boolean): Shape {
  const { name, rules } = defineQueue('jobs', {
    order: random.next() < 0.6 ? 'key' : 'none',
    lease: 1500 + random.below(3000),
    maxAttempts: 2 + random.below(20),
  })
  return {
    queue: { name, rules: required(rules, 'rules') },
    pauseMs: 20 + random.below(200),
    mischief: random.next() < 0.5 ? 0.3 : 0,
    credit: random.next() < 0.2 ? 150 : 8,
    rots,
  }
}

/** What all programs noted, whichever of them died since. */
class QueueLog {
  readonly events: QueueEvent[] = []
  /** Senders that have not returned. */
  readonly working: Set<string> = new Set()
  isAudited = false
  readonly #coverage: Coverage
  readonly #seen = new Set<string>()

  constructor(coverage: Coverage) {
    this.#coverage = coverage
  }

  sent(send: Omit<SendRecord, 'type' | 'returnedAt' | 'outcome' | 'id' | 'isDuplicate'>): SendRecord {
    const record: SendRecord = {
      ...send,
      type: 'send',
      returnedAt: Number.POSITIVE_INFINITY,
      outcome: 'unknown',
      id: undefined,
      isDuplicate: false,
    }
    this.events.push(record)
    return record
  }

  accepted(record: SendRecord, id: string, isDuplicate: boolean): void {
    record.outcome = 'ok'
    record.id = id
    record.isDuplicate = isDuplicate
    if (isDuplicate) this.#coverage.reached('send-deduplicated')
  }

  delivered(message: DeliveredMessage, at: Millis): DeliveryRecord {
    const { id, key, token, attempt: count, leaseMs } = message
    const record: DeliveryRecord = {
      type: 'delivery',
      id,
      content: contentOf(message),
      key,
      token,
      attempt: count,
      at,
      leaseMs,
      end: 'open',
      settledAt: Number.POSITIVE_INFINITY,
      asked: undefined,
    }
    this.events.push(record)
    if (this.#seen.has(id)) this.#coverage.reached('message-redelivered')
    this.#seen.add(id)
    return record
  }

  /** The payload of a message came in pieces. */
  fetched(record: DeliveryRecord, payload: Uint8Array): void {
    this.#coverage.reached('large-delivered')
    const found = UTF8.decode(payload)
    if (found !== repeated(record.content, payload.length)) record.content = `${record.content} with another payload`
  }

  /** The payload of a message cannot be had at present. */
  missed(): void {
    this.#coverage.reached('piece-missing')
  }

  fenced(record: DeliveryRecord): void {
    record.end = 'fenced'
    this.#coverage.reached('settlement-fenced')
  }

  dead(record: DeathRecord): void {
    this.events.push(record)
    this.#coverage.reached('message-dead')
  }
}

function senderOf(name: string, shape: Shape, log: QueueLog): Program {
  const make = (context: ProgramContext, number: number): Promise<void> => sendOne(context, number, shape, log)
  return producer(name, { working: log.working, pauseMs: shape.pauseMs, make })
}

async function sendOne(context: ProgramContext, number: number, { queue }: Shape, log: QueueLog): Promise<void> {
  const { random, now } = context
  const isOrdered = queue.rules.order === 'key'
  const content = `${context.name}.${number}${random.next() < 0.03 ? POISON : ''}`
  const key = random.next() < (isOrdered ? 0.9 : 0.3) ? `key-${random.below(KEYS)}` : ''
  // What is delayed or preferred leaves the order in which it was sent, so that only what has no key is.
  const isPlain = isOrdered && key !== ''
  const delay = !isPlain && random.next() < 0.2 ? random.below(4000) : 0
  const priority = !isPlain && random.next() < 0.2 ? random.below(10) : 0
  const name = random.next() < 0.1 ? `id-${random.below(20)}` : ''
  const deduplication = name === '' ? undefined : { id: name, mode: 'drop' as const, window: 3_600_000 }
  const large = random.next() < 0.1 ? 250 + random.below(1250) : 0
  const message: OutgoingMessage = {
    key,
    payload: TEXT.encode(large === 0 ? content : repeated(content, large)),
    headers: large === 0 ? {} : { [CONTENT_HEADER]: content },
    delay,
    ttl: Number.POSITIVE_INFINITY,
    priority,
    deduplication,
  }
  const record = log.sent({ content, key, deduplication: name && `${key}/${name}`, delayMs: delay, invokedAt: now() })
  const sent = await attempt(facetOf(context.driver, 'queue').send(queue, message, { timeout: CALL_MS }))
  record.returnedAt = now()
  if (sent.outcome === 'ok') log.accepted(record, sent.value.id, sent.value.isDuplicate)
  else record.outcome = sent.outcome
}

function consumerOf(name: string, shape: Shape, log: QueueLog): Program {
  return {
    name,
    async run(_, context) {
      const { random, ending, sleep } = context
      while (!ending.aborted) {
        await consumeSome(10 + random.below(200), context, shape, log)
        await sleep(random.below(200))
      }
    },
  }
}

/** Takes so many messages, then ends the consumption in the middle of its work. */
async function consumeSome(count: number, context: ProgramContext, shape: Shape, log: QueueLog): Promise<void> {
  const { random, ending, now } = context
  const credit = 1 + random.below(shape.credit)
  const deliveries = facetOf(context.driver, 'queue').consume(shape.queue, {
    consumer: context.name,
    credit,
    signal: ending,
  })
  const over = new AbortController()
  const abandoned: DeliveryRecord[] = []
  const parts = { context, shape, log, over: over.signal, abandoned }
  let left = count
  try {
    for await (const message of deliveries) {
      // The native driver's own: the front does not show tokens.
      if (!(message instanceof DeliveredMessage)) throw new TypeError('messages of another driver have no tokens')
      void handle(message, log.delivered(message, now()), parts)
      if (--left === 0) return
    }
  } catch (error) {
    if (!ending.aborted) throw error
  } finally {
    over.abort()
    for (const record of abandoned) record.settledAt = now()
  }
}

interface HandlerParts {
  readonly context: ProgramContext
  readonly shape: Shape
  readonly log: QueueLog
  /** Aborts when the consumption has ended: then everything unsettled goes back. */
  readonly over: AbortSignal
  readonly abandoned: DeliveryRecord[]
}

async function handle(message: DeliveredMessage, record: DeliveryRecord, parts: HandlerParts): Promise<void> {
  const { context, shape, log, over, abandoned } = parts
  const { random, now, sleep, closing } = context
  // After the faults everything is worked off.
  const chance = closing.aborted ? 1 : random.next() / shape.mischief
  const isPoison = record.content.endsWith(POISON)
  const isHere = await fetchPayload(message, record, parts)
  await sleep(random.below(50))
  if (chance < 0.1) await attempt(message.extend(2 * message.leaseMs, {}), 'FENCED')
  if (chance < 0.2) await sleep(random.below(2 * message.leaseMs))
  const abandons = !isPoison && chance > 0.2 && chance < 0.4
  if (over.aborted || abandons) {
    record.end = 'abandoned'
    if (over.aborted) record.settledAt = now()
    else abandoned.push(record)
    return
  }
  record.asked = !isHere ? 'release' : isPoison ? 'retry' : drawSettlement(chance)
  record.settledAt = now()
  const settled = await attempt(settle(message, record.asked, random.below(400)), 'FENCED', 'LEASE_LOST')
  if (settled.outcome === 'unknown') record.end = 'unknown'
  else if (settled.outcome === 'ok') record.end = ENDS[record.asked]
  else log.fenced(record)
}

/** Whether it is here, as far as there is one. A large payload that cannot be had is lost, unless the lease is or somebody else has it. */
async function fetchPayload(
  { large }: DeliveredMessage,
  record: DeliveryRecord,
  { shape, log }: HandlerParts,
): Promise<boolean> {
  if (large === undefined) return true
  try {
    const fetched = await attempt(large.fetch(), 'FENCED', 'LEASE_LOST')
    if (fetched.outcome === 'ok') log.fetched(record, fetched.value)
  } catch (error) {
    if (shape.rots && isTroupeError(error, 'DATA_DAMAGED')) {
      log.missed()
      return false
    }
    record.content = `${record.content} without its payload (${error instanceof Error ? error.message : String(error)})`
  }
  return true
}

function contentOf({
  headers,
  payload,
}: {
  readonly headers: Readonly<Record<string, string>>
  readonly payload: Uint8Array
}): string {
  return payload.length === 0 ? (headers[CONTENT_HEADER] ?? '') : UTF8.decode(payload)
}

function repeated(content: string, length: number): string {
  return content.repeat(Math.ceil(length / content.length)).slice(0, length)
}

function drawSettlement(chance: number): keyof typeof ENDS {
  if (chance < 0.4 || chance >= 0.9) return 'acknowledge'
  if (chance < 0.7) return 'retry'
  return chance < 0.8 ? 'release' : 'reject'
}

const ENDS = { acknowledge: 'acknowledged', retry: 'retried', reject: 'rejected', release: 'released' } as const

function settle(message: Delivered, how: keyof typeof ENDS, delay: Millis): Promise<void> {
  const options = { timeout: CALL_MS }
  if (how === 'retry') return message.retry(delay, TEXT.encode('it failed'), options)
  if (how === 'reject') return message.reject('rejected', TEXT.encode('it is bad'), options)
  return how === 'release' ? message.release(options) : message.acknowledge(options)
}

/** Sees to it that after the faults a message still comes through, the queue gets empty, and finds its dead letters. */
function auditorOf({ queue }: Shape, log: QueueLog): Program {
  return auditor(log, async (_, context) => {
    const { sleep, now } = context
    const facet = facetOf(context.driver, 'queue')
    const plain = { key: '', headers: {}, delay: 0, ttl: Number.POSITIVE_INFINITY, priority: 0 }
    for (let number = 0, isSent = false; !isSent; number++) {
      const content = `probe.${number}`
      const record = log.sent({ content, key: '', deduplication: '', delayMs: 0, invokedAt: now() })
      const message = { ...plain, payload: TEXT.encode(content), deduplication: undefined }
      const sent = await attempt(facet.send(queue, message, { timeout: CALL_MS }))
      record.returnedAt = now()
      isSent = sent.outcome === 'ok'
      if (sent.outcome === 'ok') log.accepted(record, sent.value.id, sent.value.isDuplicate)
      else record.outcome = sent.outcome
    }
    while (!(await isEmpty(facet, queue))) await sleep(200)
    while (!(await attempt(findDead(facet, queue, log))).outcome.startsWith('ok')) await sleep(200)
  })
}

async function isEmpty(facet: QueueFacet, { name }: NamedQueue): Promise<boolean> {
  const found = await attempt(facet.stats(name, { timeout: CALL_MS }))
  return found.outcome === 'ok' && found.value.waiting + found.value.delayed + found.value.leased === 0
}

async function findDead(facet: QueueFacet, { name }: NamedQueue, log: QueueLog): Promise<void> {
  const found: DeathRecord[] = []
  for await (const message of facet.peek(name, 'dead', { limit: 100_000, timeout: CALL_MS })) {
    const { id, attempts, death } = message
    found.push({ type: 'death', id, content: contentOf(message), reason: death ?? 'nothing', attempts })
  }
  for (const death of found) log.dead(death)
}

/**
 * The lifetime workload sends messages that replace and follow one another, expire, push one another out or find no
 * room, and brings dead ones back.
 */

import { required } from '../../base/assert.ts'
import type { SeededRandom } from '../../base/random.ts'
import type { Millis } from '../../base/time.ts'
import { facetOf } from '../../data/facet.ts'
import type { Delivered, NamedQueue, OutgoingMessage, QueueFacet, QueueRules } from '../../driver/contract.ts'
import { defineQueue } from '../../message/queue.ts'
import type { LifeDeath, LifeDelivery, LifeEvent, LifeRedrive, LifeSend, LifetimeKind } from '../check/lifetime.ts'
import { checkLifetimes, isBounded } from '../check/lifetimes.ts'
import type { Coverage } from '../coverage.ts'
import type { Program, ProgramContext } from '../program.ts'
import { attempt } from './attempt.ts'
import { auditor } from './auditor.ts'
import { producer } from './producer.ts'
import { clocksLie, lagOf, type Workload, type WorkloadPorts } from './workload.ts'

const SENDERS = 3
const CONSUMERS = 2
const NAMES = 6
const KEYS = 3
const CALL_MS: Millis = 5000
/** Longer than the shortest lease, and than most messages may live. */
const LONG_WORK_MS: Millis = 4000
const KINDS: readonly LifetimeKind[] = ['drop', 'replace', 'debounce', 'requeue', 'reject', 'drop-oldest', 'block']
/** Until the faults are over. */
const POISON = 'poison'
const UTF8 = new TextDecoder()
const TEXT = new TextEncoder()

/** What a seed decides about the queue. */
interface Shape {
  readonly kind: LifetimeKind
  /** See `LifePromises`. */
  readonly windowMs: Millis
  /** Whether dead letters are brought back by their reason, or by their ids. */
  readonly isByReason: boolean
  readonly queue: NamedQueue & { readonly rules: QueueRules }
  readonly pauseMs: Millis
  /** Longest time that a consumer takes for a message. */
  readonly workMs: Millis
}

export function lifetimeWorkload({ scenario, random, coverage }: WorkloadPorts): Workload {
  const shape = drawShape(random)
  const log: LifeLog = { events: [], coverage, working: new Set(), isAudited: false }
  const { kind, queue, windowMs } = shape
  const { faults, shards } = scenario
  const { limit } = queue.rules
  const isQuiet = faults.length === 0
  const promises = {
    kind,
    windowMs,
    limit,
    shards,
    clocksLie: clocksLie(scenario),
    lagMs: lagOf(scenario),
    isQuiet,
  }
  return {
    programs: [
      auditorOf(shape, log),
      ...Array.from({ length: SENDERS }, (_, at) => senderOf(`sender-${at}`, shape, log)),
      ...Array.from({ length: CONSUMERS }, (_, at) => consumerOf(`consumer-${at}`, shape, log)),
    ],
    isDone: () => log.isAudited,
    judge: () => checkLifetimes(log.events, promises),
    history: log.events,
  }
}

function drawShape(random: SeededRandom): Shape {
  const kind = required(KINDS[random.below(KINDS.length)], 'a kind')
  const bounds = isBounded(kind) ? { limit: 3 + random.below(10), overflow: kind } : {}
  // Only messages that are rejected die: how attempts are counted is another workload's matter.
  const rules = {
    order: isBounded(kind) ? 'key' : 'none',
    lease: 1500 + random.below(3000),
    maxAttempts: 10_000,
  } as const
  const { name, rules: defined } = defineQueue('lives', { ...rules, ...bounds })
  return {
    kind,
    windowMs: random.next() < 0.5 ? 0 : 200 + random.below(3000),
    isByReason: random.next() < 0.5,
    queue: { name, rules: required(defined, 'rules') },
    pauseMs: 20 + random.below(200),
    workMs: 50 + random.below(400),
  }
}

interface LifeLog {
  readonly events: LifeEvent[]
  readonly coverage: Coverage
  /** Senders that have not returned. */
  readonly working: Set<string>
  isAudited: boolean
}

function senderOf(name: string, shape: Shape, log: LifeLog): Program {
  const make = (context: ProgramContext, number: number): Promise<unknown> =>
    send(`${context.name}.${number}${context.random.next() < 0.05 ? POISON : ''}`, context, { shape, log })
  return producer(name, { working: log.working, pauseMs: shape.pauseMs, make })
}

interface Parts {
  readonly shape: Shape
  readonly log: LifeLog
}

async function send(content: string, context: ProgramContext, { shape, log }: Parts): Promise<boolean> {
  const { random, now } = context
  const { kind, queue, windowMs } = shape
  const number = random.below(NAMES)
  const isPlain = isBounded(kind) || random.next() < 0.2
  const name = isPlain ? '' : `name-${number}`
  const delay = isPlain || random.next() < 0.5 ? 0 : random.below(3000)
  const ttl = isPlain || random.next() < 0.7 ? Number.POSITIVE_INFINITY : delay + random.below(3000)
  const message: OutgoingMessage = {
    key: `key-${number % KEYS}`,
    payload: TEXT.encode(content),
    headers: {},
    delay,
    ttl,
    priority: 0,
    deduplication: isPlain || isBounded(kind) ? undefined : { id: name, mode: kind, window: windowMs },
  }
  const record: LifeSend = {
    type: 'send',
    content,
    name,
    delayMs: delay,
    ttlMs: ttl,
    invokedAt: now(),
    returnedAt: Number.POSITIVE_INFINITY,
    outcome: 'unknown',
    id: undefined,
    isDuplicate: false,
  }
  log.events.push(record)
  const sent = await attempt(facetOf(context.driver, 'queue').send(queue, message, { timeout: CALL_MS }), 'FULL')
  record.returnedAt = now()
  if (sent.outcome !== 'ok') {
    record.outcome = sent.code === 'FULL' ? 'full' : sent.outcome
    if (sent.code === 'FULL') log.coverage.reached('queue-full')
    return false
  }
  record.outcome = 'ok'
  record.id = sent.value.id
  record.isDuplicate = sent.value.isDuplicate
  if (record.isDuplicate) log.coverage.reached('message-superseded')
  return true
}

function consumerOf(name: string, shape: Shape, log: LifeLog): Program {
  return {
    name,
    async run(_, context) {
      const { random, ending, sleep } = context
      while (!ending.aborted) {
        await consumeSome(10 + random.below(100), context, { shape, log })
        await sleep(random.below(500))
      }
    },
  }
}

/** Takes so many messages, then leaves with whatever it has not settled. */
async function consumeSome(count: number, context: ProgramContext, parts: Parts): Promise<void> {
  const { random, ending } = context
  const options = { consumer: context.name, credit: 1 + random.below(4), signal: ending }
  let left = count
  try {
    for await (const message of facetOf(context.driver, 'queue').consume(parts.shape.queue, options)) {
      void handle(message, context, parts)
      if (--left === 0) return
    }
  } catch (error) {
    if (!ending.aborted) throw error
  }
}

async function handle(message: Delivered, context: ProgramContext, { shape, log }: Parts): Promise<void> {
  const { random, now, sleep, closing } = context
  const record: LifeDelivery = {
    type: 'delivery',
    id: message.id,
    content: UTF8.decode(message.payload),
    at: now(),
    asked: undefined,
    askedAt: Number.POSITIVE_INFINITY,
    answeredAt: Number.POSITIVE_INFINITY,
    end: 'open',
  }
  log.events.push(record)
  await sleep(random.below(closing.aborted ? 20 : random.next() < 0.1 ? LONG_WORK_MS : shape.workMs))
  const isPoison = record.content.endsWith(POISON) && !isBounded(shape.kind)
  const isHard = !closing.aborted && random.next() < 0.1
  record.asked = isHard ? 'retry' : isPoison && !closing.aborted ? 'reject' : 'acknowledge'
  record.askedAt = now()
  const settled = await attempt(settle(message, record.asked), 'FENCED', 'LEASE_LOST')
  record.answeredAt = now()
  if (settled.outcome === 'ok') record.end = 'ok'
  // Of a lease that the consumer knows to be lost nothing was sent.
  else record.end = settled.outcome === 'unknown' ? 'unknown' : 'fenced'
}

function settle(message: Delivered, how: 'acknowledge' | 'retry' | 'reject'): Promise<void> {
  const options = { timeout: CALL_MS }
  if (how === 'retry') return message.retry(100, TEXT.encode('it failed'), options)
  return how === 'reject' ? message.reject('rejected', TEXT.encode('it is bad'), options) : message.acknowledge(options)
}

/** Looks on, brings dead letters back now and then, and in the end all of them. */
function auditorOf(shape: Shape, log: LifeLog): Program {
  const parts = { shape, log }
  const bringBack = async (limit: number, context: ProgramContext): Promise<void> => {
    if (!isBounded(shape.kind)) await redrive(limit, context, parts)
  }
  const lookOn = async (context: ProgramContext): Promise<void> => {
    const { random, sleep } = context
    await sleep(random.below(1000))
    await isOver(shape, context, log)
    if (random.next() < 0.3) await bringBack(1 + random.below(10), context)
  }
  const audit = async (context: ProgramContext): Promise<void> => {
    for (let number = 0; !(await send(`probe.${number}`, context, parts)); number++) await context.sleep(100)
    for (; !(await isOver(shape, context, log)); await context.sleep(200)) await bringBack(1000, context)
  }
  return auditor(
    log,
    (_, context) => audit(context),
    (_, context) => lookOn(context),
  )
}

/** Notes how many live; whether none does, and none is dead but those that made room. */
async function isOver({ kind, queue }: Shape, context: ProgramContext, log: LifeLog): Promise<boolean> {
  const found = await attempt(facetOf(context.driver, 'queue').stats(queue.name, { timeout: CALL_MS }))
  if (found.outcome !== 'ok') return false
  const { waiting, delayed, leased, dead } = found.value
  log.events.push({ type: 'stats', living: waiting + delayed + leased })
  return waiting + delayed + leased === 0 && (dead === 0 || kind === 'drop-oldest')
}

/** Brings back some of what it has seen dead. */
async function redrive(limit: number, context: ProgramContext, { shape, log }: Parts): Promise<void> {
  const { now, random } = context
  const facet = facetOf(context.driver, 'queue')
  const { name } = shape.queue
  const found = await attempt(noteDead(facet, name, context, log))
  const [first] = found.outcome === 'ok' ? found.value : []
  if (found.outcome !== 'ok' || first === undefined) return
  const reason = shape.isByReason ? (random.next() < 0.5 ? ('rejected' as const) : ('expired' as const)) : undefined
  const meant = found.value.filter((death) => reason === undefined || death.reason === reason)
  const ids = reason === undefined ? meant.slice(0, limit).map(({ id }) => id) : undefined
  const seen = ids?.length ?? meant.length
  const [invokedAt, returnedAt] = [now(), Number.POSITIVE_INFINITY]
  const record: LifeRedrive = { type: 'redrive', ids, reason, limit, seen, invokedAt, returnedAt, count: undefined }
  log.events.push(record)
  const filter = ids === undefined ? { limit, ...(reason === undefined ? {} : { reason }) } : { ids }
  const back = await attempt(facet.redrive(name, filter, { timeout: CALL_MS }))
  if (back.outcome === 'unknown') return
  record.returnedAt = now()
  record.count = back.outcome === 'ok' ? back.value : undefined
  if (back.outcome === 'ok' && back.value > 0) log.coverage.reached('message-redriven')
}

async function noteDead(
  facet: QueueFacet,
  queue: string,
  { now }: ProgramContext,
  log: LifeLog,
): Promise<readonly LifeDeath[]> {
  const deaths: LifeDeath[] = []
  for await (const { id, payload, death } of facet.peek(queue, 'dead', { limit: 1000, timeout: CALL_MS })) {
    deaths.push({ type: 'death', id, content: UTF8.decode(payload), reason: death ?? 'nothing', at: now() })
    if (death === 'expired') log.coverage.reached('message-expired')
  }
  log.events.push(...deaths)
  return deaths
}

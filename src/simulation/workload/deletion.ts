/**
 * The deletion workload deletes a queue and a topic while others use them, and they are made anew by whoever comes
 * next, with rules of his own.
 */

import { required } from '../../base/assert.ts'
import type { Millis } from '../../base/time.ts'
import type { Delivered, NamedQueue, QueueFacet, TopicFacet } from '../../driver/contract.ts'
import { DeliveredMessage } from '../../driver/native/queue/delivered.ts'
import { defineQueue } from '../../message/queue.ts'
import { defineTopic } from '../../message/topic.ts'
import {
  checkDeletions,
  type DeletionEvent,
  type DeletionRecord,
  type MadeRecord,
  type SightRecord,
} from '../check/deletion.ts'
import type { Coverage } from '../coverage.ts'
import type { Program, ProgramContext } from '../program.ts'
import { type Attempt, attempt } from './attempt.ts'
import { auditor } from './auditor.ts'
import { producer } from './producer.ts'
import type { Workload, WorkloadPorts } from './workload.ts'

const QUEUE = 'mortals'
const TOPIC = defineTopic('mortals', { partitions: 3 })
const DEFAULT_LEASE_MS: Millis = 30_000
const LEAST_LEASE_MS: Millis = 1500
const CALL_MS: Millis = 5000
/** What a deletion that got no answer may still do is done by then, once the faults are over. */
const AFTERMATH_MS: Millis = 15_000
const TEXT = new TextEncoder()
const UTF8 = new TextDecoder()

/** What all programs noted of one of the two. */
interface Fate {
  readonly events: DeletionEvent[]
}

interface Log {
  readonly queue: Fate
  readonly topic: Fate
  readonly coverage: Coverage
  /** Programs that make or delete something and have not returned. */
  readonly working: Set<string>
  isAudited: boolean
  /** No two users of the queue come with the same rules. */
  rules: number
}

export function deletionWorkload({ random, coverage }: WorkloadPorts): Workload {
  const log: Log = {
    queue: { events: [] },
    topic: { events: [] },
    coverage,
    working: new Set(),
    isAudited: false,
    rules: 0,
  }
  const { working } = log
  const pauseMs = 30 + random.below(200)
  const deleting = { working, pauseMs: 300 + random.below(1500) }
  return {
    programs: [
      auditorOf(log),
      ...[0, 1].map((at) => senderOf(`sender-${at}`, pauseMs, log)),
      ...[0, 1].map((at) => consumerOf(`consumer-${at}`, log)),
      producer('queue-deleter', { ...deleting, make: (context) => deleteQueue(context, log) }),
      producer('publisher', { working, pauseMs, make: (context, number) => publish(context, number, log) }),
      readerOf(log),
      producer('topic-deleter', { ...deleting, make: (context) => deleteTopic(context, log) }),
    ],
    isDone: () => log.isAudited,
    judge: () => [log.queue, log.topic].flatMap(({ events }) => checkDeletions(events, DEFAULT_LEASE_MS)),
    get history() {
      return [...log.queue.events, ...log.topic.events]
    },
  }
}

/** A queue of this name with rules that nobody else has. */
function newRules(log: Log): NamedQueue & { readonly leaseMs: Millis } {
  const leaseMs = LEAST_LEASE_MS + ++log.rules
  const { name, rules } = defineQueue(QUEUE, { order: 'none', lease: leaseMs, maxAttempts: 10_000 })
  return { name, rules: required(rules, 'rules'), leaseMs }
}

function made(fate: Fate, content: string, leaseMs: Millis, invokedAt: Millis): MadeRecord {
  const record: MadeRecord = {
    type: 'made',
    content,
    leaseMs,
    invokedAt,
    returnedAt: Number.POSITIVE_INFINITY,
    outcome: 'unknown',
  }
  fate.events.push(record)
  return record
}

/** Keeps its rules for a while, so that others say theirs in between. */
function senderOf(name: string, pauseMs: Millis, log: Log): Program {
  let queue = newRules(log)
  const make = async (context: ProgramContext, number: number): Promise<void> => {
    if (number === 0 || context.random.next() < 0.1) queue = newRules(log)
    await send(`${context.name}.${number}`, queue, context, log)
  }
  return producer(name, { working: log.working, pauseMs, make })
}

async function send(
  content: string,
  queue: ReturnType<typeof newRules>,
  { driver, random, now }: ProgramContext,
  log: Log,
): Promise<boolean> {
  const record = made(log.queue, content, queue.leaseMs, now())
  const key = `key-${random.below(6)}`
  const more = { headers: {}, delay: 0, ttl: Number.POSITIVE_INFINITY, priority: 0, deduplication: undefined }
  const message = { ...more, key, payload: TEXT.encode(content) }
  const sent = await attempt(queuesOf(driver).send(queue, message, { timeout: CALL_MS }))
  record.returnedAt = now()
  record.outcome = sent.outcome
  return sent.outcome === 'ok'
}

/** Comes and goes, so that the queue can be deleted in between. */
function consumerOf(name: string, log: Log): Program {
  return {
    name,
    async run(_, context) {
      const { random, ending, closing, sleep } = context
      while (!ending.aborted) {
        await consume(closing.aborted ? 5000 : random.below(1000), context, log)
        await sleep(random.below(closing.aborted ? 100 : 2000))
      }
    },
  }
}

async function consume(duration: Millis, context: ProgramContext, log: Log): Promise<void> {
  const { driver, ending, now, sleep, random } = context
  const over = new AbortController()
  const queue = newRules(log)
  const since = now()
  const reader = { type: 'reader' as const, leaseMs: queue.leaseMs, saidAt: Number.POSITIVE_INFINITY }
  log.queue.events.push(reader)
  void sleep(duration).then(() => over.abort())
  const signal = AbortSignal.any([ending, over.signal])
  try {
    const options = { consumer: context.name, credit: 1 + random.below(8), signal }
    for await (const message of queuesOf(driver).consume(queue, options)) {
      if (!(message instanceof DeliveredMessage)) throw new TypeError('messages of another driver are not known')
      reader.saidAt = Math.min(reader.saidAt, now())
      const { payload, leaseMs } = message
      const sight = sighted(
        log.queue,
        { content: UTF8.decode(payload), leaseMs, ownLeaseMs: queue.leaseMs, since },
        now(),
      )
      void handle(message, sight, context)
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

function sighted(
  fate: Fate,
  what: Pick<SightRecord, 'content' | 'leaseMs' | 'ownLeaseMs' | 'since'>,
  at: Millis,
): SightRecord {
  const sight: SightRecord = { type: 'sight', ...what, at, end: 'open', askedAt: Number.POSITIVE_INFINITY }
  fate.events.push(sight)
  return sight
}

async function handle(message: Delivered, sight: SightRecord, context: ProgramContext): Promise<void> {
  const { random, sleep, now } = context
  await sleep(random.below(100))
  sight.askedAt = now()
  // Also when nobody lives to hear the answer.
  sight.end = 'unknown'
  const settled = await attempt(message.acknowledge({ timeout: CALL_MS }), 'FENCED', 'LEASE_LOST')
  if (settled.outcome !== 'unknown') sight.end = settled.outcome === 'ok' ? 'kept' : 'refused'
}

async function deleteQueue({ driver, now }: ProgramContext, log: Log): Promise<void> {
  const record = deletion(log.queue, now())
  const deleted = await attempt(queuesOf(driver).delete(QUEUE, { timeout: CALL_MS }), 'CONFLICT')
  conclude(record, deleted, now())
  if (deleted.outcome !== 'ok') return
  record.count = deleted.value
  if (deleted.value > 0) log.coverage.reached('queue-deleted')
}

async function deleteTopic({ driver, now }: ProgramContext, log: Log): Promise<void> {
  const record = deletion(log.topic, now())
  const deleted = await attempt(topicsOf(driver).delete(TOPIC.name, { timeout: CALL_MS }), 'CONFLICT')
  conclude(record, deleted, now())
  if (deleted.outcome === 'ok') log.coverage.reached('topic-deleted')
}

function deletion(fate: Fate, invokedAt: Millis): DeletionRecord {
  const returnedAt = Number.POSITIVE_INFINITY
  const record: DeletionRecord = { type: 'deletion', invokedAt, returnedAt, outcome: 'unknown', count: 0 }
  fate.events.push(record)
  return record
}

/** What is deleted shard by shard may have happened in some when it failed in another. */
function conclude(record: DeletionRecord, deleted: Attempt<unknown>, now: Millis): void {
  if (deleted.outcome !== 'ok' && deleted.code !== 'CONFLICT') return
  record.returnedAt = now
  record.outcome = deleted.outcome === 'ok' ? 'ok' : 'refused'
}

async function publish(
  { name, driver, random, now }: ProgramContext,
  number: number,
  { topic }: Log,
): Promise<boolean> {
  const record = made(topic, `${name}.${number}`, 0, now())
  const message = { key: `key-${random.below(9)}`, headers: {}, payload: TEXT.encode(record.content) }
  const published = await attempt(topicsOf(driver).publish(TOPIC, message, { timeout: CALL_MS }))
  record.returnedAt = now()
  record.outcome = published.outcome
  return published.outcome === 'ok'
}

/** Reads everything for itself, again and again, for a while or until the topic is gone. */
function readerOf(log: Log): Program {
  return {
    name: 'reader',
    async run(_, context) {
      const { random, ending, sleep } = context
      while (!ending.aborted) {
        await read(random.below(3000), context, log, () => false)
        await sleep(random.below(500))
      }
    },
  }
}

/** @param isEnough asked with the offset after each record that was read */
async function read(
  duration: Millis,
  context: ProgramContext,
  log: Log,
  isEnough: (partition: number, next: bigint) => boolean,
): Promise<readonly SightRecord[]> {
  const { driver, ending, now, sleep } = context
  const over = new AbortController()
  const since = now()
  const sights: SightRecord[] = []
  void sleep(duration).then(() => over.abort())
  const signal = AbortSignal.any([ending, over.signal])
  try {
    for await (const { partition, records } of topicsOf(driver).subscribe(TOPIC, {
      from: 'earliest',
      batch: 20,
      signal,
    })) {
      for (const { payload, offset } of records) {
        sights.push(sighted(log.topic, { content: UTF8.decode(payload), leaseMs: 0, ownLeaseMs: 0, since }, now()))
        if (isEnough(partition, offset + 1n)) return sights
      }
    }
  } catch (error) {
    const isDeleted = error instanceof Error && 'code' in error && error.code === 'CLOSED'
    if (!signal.aborted && !isDeleted) throw error
  }
  return sights
}

function auditorOf(log: Log): Program {
  return auditor(log, async (_, context) => {
    const { driver, sleep } = context
    const queues = queuesOf(driver)
    await sleep(AFTERMATH_MS)
    for (let number = 0; !(await send(`probe.${number}`, newRules(log), context, log)); number++) await sleep(100)
    for (;;) {
      const found = await attempt(queues.stats(QUEUE, { timeout: CALL_MS }))
      if (found.outcome === 'ok' && found.value.waiting + found.value.delayed + found.value.leased === 0) break
      await sleep(200)
    }
    while (!(await publish(context, log.topic.events.length, log))) await sleep(100)
    while (!(await readAll(context, log))) await sleep(100)
  })
}

/** Whether all that the topic has could be read; then that is kept. */
async function readAll(context: ProgramContext, log: Log): Promise<boolean> {
  const found = await attempt(topicsOf(context.driver).partitions(TOPIC, { timeout: CALL_MS }))
  if (found.outcome !== 'ok') return false
  const left = new Map(found.value.flatMap(({ partition, end }) => (end > 0n ? [[partition, end]] : [])))
  const sights = await read(CALL_MS, context, log, (partition, next) => {
    if (left.get(partition) === next) left.delete(partition)
    return left.size === 0
  })
  if (left.size > 0) return false
  for (const sight of sights) sight.end = 'kept'
  return true
}

function queuesOf({ queue }: ProgramContext['driver']): QueueFacet {
  return required(queue, 'the queues of the native driver')
}

function topicsOf({ topic }: ProgramContext['driver']): TopicFacet {
  return required(topic, 'the topics of the native driver')
}

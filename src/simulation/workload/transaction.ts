/**
 * The transaction workload works off orders by handlers that set a map's entry, emit to queues near and far, and
 * publish, all with one acknowledgement.
 */

import type { Millis } from '../../base/time.ts'
import { defineMap } from '../../data/map.ts'
import type { HandlerContext } from '../../message/handler.ts'
import { defineQueue, type QueueMessage } from '../../message/queue.ts'
import { fixedDelay } from '../../message/retry.ts'
import { defineTopic } from '../../message/topic.ts'
import type { Troupe } from '../../runtime/troupe.ts'
import { checkTransactions, type OrderRecord, type TransactionEvent } from '../check/transaction.ts'
import type { Coverage } from '../coverage.ts'
import type { Program, ProgramContext } from '../program.ts'
import { attempt } from './attempt.ts'
import { auditor } from './auditor.ts'
import type { Workload, WorkloadPorts } from './workload.ts'

const CUSTOMERS = 2
const WORKERS = 2
/** One of them beside a node, one that talks to each leader. */
const COLLECTORS = 2
const CALL_MS: Millis = 5000
const PAUSE_MS: Millis = 150

interface Order {
  readonly order: string
}

interface Emission extends Order {
  readonly run: string
}

const patient = { lease: 2000, maxAttempts: 1000 }
const orders = defineQueue<Order>('orders', { placement: 'shop', lease: 2000, maxAttempts: 30, retry: fixedDelay(100) })
/** In the shard of the order's key. */
const ledger = defineMap<Emission>('ledger', { placement: 'shop' })
const letters = defineQueue<Emission>('letters', { ...patient, placement: 'shop' })
/** In whatever shard its customer is in: what goes there goes through the outbox. */
const invoices = defineQueue<Emission>('invoices', patient)
const events = defineTopic<Emission>('events', { partitions: 3 })
const PLACES = ['letters', 'invoices', 'events']

export function transactionWorkload({ coverage }: WorkloadPorts): Workload {
  const log = new TransactionLog(coverage)
  return {
    programs: [
      auditorOf(log),
      ...Array.from({ length: CUSTOMERS }, (_, at) => customerOf(`customer-${at}`, log)),
      ...Array.from({ length: WORKERS }, (_, at) => workerOf(`worker-${at}`, log)),
      ...Array.from({ length: COLLECTORS }, (_, at) => collectorOf(`collector-${at}`, log)),
    ],
    isDone: () => log.isAudited,
    judge: () => checkTransactions(log.history, PLACES),
    history: log.history,
  }
}

class TransactionLog {
  readonly history: TransactionEvent[] = []
  /** Customers that have not returned. */
  readonly working: Set<string> = new Set()
  readonly orders: Set<string> = new Set()
  isAudited = false
  readonly #coverage: Coverage
  readonly #came = new Set<string>()

  constructor(coverage: Coverage) {
    this.#coverage = coverage
  }

  ordered(order: string): OrderRecord {
    const record: OrderRecord = { type: 'order', order, outcome: 'unknown' }
    this.orders.add(order)
    this.history.push(record)
    return record
  }

  came(place: string, id: string, { order, run }: Emission): void {
    this.#came.add(`${place} ${order}`)
    this.history.push({ type: 'emission', place, id, order, run })
  }

  hasCome(order: string): boolean {
    return PLACES.every((place) => this.#came.has(`${place} ${order}`))
  }

  failed(run: string): void {
    this.#coverage.reached('handler-failed')
    this.history.push({ type: 'failed-run', run })
  }
}

function customerOf(name: string, log: TransactionLog): Program {
  return {
    name,
    async run(troupe, context) {
      const { random, closing, sleep } = context
      log.working.add(name)
      for (let number = 0; !closing.aborted; number++) {
        await order(`${context.name}.${number}`, troupe, log)
        await sleep(-PAUSE_MS * Math.log(1 - random.next()))
      }
      log.working.delete(name)
    },
  }
}

async function order(name: string, troupe: Troupe, log: TransactionLog): Promise<boolean> {
  const record = log.ordered(name)
  const sent = await attempt(troupe.queue(orders).send({ order: name }, { key: name, timeout: CALL_MS }))
  record.outcome = sent.outcome
  return sent.outcome === 'ok'
}

function workerOf(name: string, log: TransactionLog): Program {
  return {
    name,
    async run(troupe, context) {
      const { ending, random, sleep } = context
      let runs = 0
      const handler = (message: QueueMessage<Order>, handling: HandlerContext): Promise<void> =>
        handle(message, handling, { run: `${context.name}/${++runs}`, context, log })
      while (!ending.aborted) {
        const worker = troupe.queue(orders).work(handler, { concurrency: 4, signal: ending })
        await Promise.race([sleep(1000 + random.below(10_000)), worker.ended])
        if (random.next() < 0.5 && !ending.aborted) await worker.drain({ timeout: 1000 })
        await worker.close()
      }
    },
  }
}

interface Run {
  readonly run: string
  readonly context: ProgramContext
  readonly log: TransactionLog
}

/** Fails at any point: before, between and after what it emits. */
async function handle(
  { value: { order: name } }: QueueMessage<Order>,
  handling: HandlerContext,
  { run, context, log }: Run,
): Promise<void> {
  const { random, sleep, closing } = context
  const emission = { order: name, run }
  const failsAt = closing.aborted ? 9 : random.below(12)
  const steps = [
    () => handling.set(ledger, name, emission),
    () => handling.emit(letters, emission, { key: name }),
    () => handling.emit(invoices, emission, { key: `customer of ${name}` }),
    () => handling.publish(events, emission, { key: name }),
  ]
  for (const [at, step] of steps.entries()) {
    if (at === failsAt) {
      log.failed(run)
      throw new Error(`${run} fails`)
    }
    step()
    if (random.next() < 0.2) await sleep(random.below(100))
  }
  // Longer than the lease, which the worker extends meanwhile.
  if (failsAt === 5) await sleep(random.below(4000))
  if (failsAt === 6) await attempt(handling.commit(), 'FENCED', 'LEASE_LOST')
}

/** Receives what was emitted, and says what came. */
function collectorOf(name: string, log: TransactionLog): Program {
  return {
    name,
    async run(troupe, { ending }) {
      const work = (place: string, queue: typeof letters): Promise<void> => {
        const worker = troupe
          .queue(queue)
          .work(({ id, value }) => log.came(place, id, value), { concurrency: 4, signal: ending })
        return worker.ended
      }
      await Promise.all([work('letters', letters), work('invoices', invoices), follow(troupe, ending, log)])
    },
  }
}

async function follow(troupe: Troupe, ending: AbortSignal, log: TransactionLog): Promise<void> {
  try {
    for await (const { records } of troupe.topic(events).subscribe({ from: 'earliest', signal: ending })) {
      for (const { partition, offset, value } of records) log.came('events', `${partition}:${offset}`, value)
    }
  } catch (error) {
    if (!ending.aborted) throw error
  }
}

/** Sees to it that in the end every order has left all that it should, and reads what the map holds. */
function auditorOf(log: TransactionLog): Program {
  return auditor(log, async (troupe, context) => {
    for (let number = 0; !(await order(`probe.${number}`, troupe, log)); number++);
    const dead = await untilOk(context, () => drained(troupe))
    for (const name of dead) log.history.push({ type: 'dead', order: name })
    const left = await readLedger(log.orders, troupe, context, log)
    // What came twice had time to do so, and a send of unknown outcome to happen after all.
    await context.sleep(3000)
    await untilOk(context, () => drained(troupe))
    await readLedger(left, troupe, context, log)
  })
}

/** Notes the entries of orders and waits for what else they left. Resolves to those that have none. */
async function readLedger(
  names: Iterable<string>,
  troupe: Troupe,
  context: ProgramContext,
  log: TransactionLog,
): Promise<readonly string[]> {
  const left: string[] = []
  for (const name of names) {
    const found = await untilOk(context, () => troupe.map(ledger).get(name, { timeout: CALL_MS }))
    log.history.push({ type: 'entry', order: name, run: found?.value.run })
    if (found === undefined) left.push(name)
    else while (!log.hasCome(name)) await context.sleep(200)
  }
  return left
}

/** The dead orders, once there are no others; rejects with `TIMEOUT` while there are. */
async function drained(troupe: Troupe): Promise<readonly string[]> {
  const queue = troupe.queue(orders)
  const { waiting, delayed, leased } = await queue.stats({ timeout: CALL_MS })
  if (waiting + delayed + leased > 0) throw new NotYet()
  const dead: string[] = []
  for await (const { value } of queue.deadLetters({ limit: 100_000, timeout: CALL_MS }))
    dead.push((value as Order).order)
  return dead
}

class NotYet extends Error {}

async function untilOk<Value>({ sleep }: ProgramContext, call: () => Promise<Value>): Promise<Value> {
  for (;;) {
    try {
      const made = await attempt(call())
      if (made.outcome === 'ok') return made.value
    } catch (error) {
      if (!(error instanceof NotYet)) throw error
    }
    await sleep(200)
  }
}

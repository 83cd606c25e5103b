/** The drain workload has workers that drain and come again, with handlers that may take longer than the drain. */

import { type GroupId, META_GROUP } from '../../base/identity.ts'
import type { SeededRandom } from '../../base/random.ts'
import type { Millis } from '../../base/time.ts'
import { defineQueue } from '../../message/queue.ts'
import type { Troupe } from '../../runtime/troupe.ts'
import { checkDrains, type DrainEvent, type DrainRecord, type JobRecord, type RunRecord } from '../check/drain.ts'
import type { Coverage } from '../coverage.ts'
import type { Program, ProgramContext } from '../program.ts'
import { attempt } from './attempt.ts'
import { auditor } from './auditor.ts'
import { producer } from './producer.ts'
import type { Workload, WorkloadPorts } from './workload.ts'

/** With a lease so long that a message which does not go back at once is missed. */
const jobs = defineQueue<string>('drained', { order: 'none', lease: 600_000, maxAttempts: 10_000 })
const WORKERS = 2
const CALL_MS: Millis = 5000

interface Shape {
  readonly pauseMs: Millis
  readonly concurrency: number
  readonly prefetch: number
  /** Longest time that a handler takes. */
  readonly workMs: Millis
  /** Longest time that a worker stays before it drains. */
  readonly stayMs: Millis
  readonly timeoutMs: Millis
}

interface Log {
  readonly events: DrainEvent[]
  readonly coverage: Coverage
  readonly working: Set<string>
  isAudited: boolean
}

export function drainWorkload({ scenario, random, coverage, elections }: WorkloadPorts): Workload {
  const shape = drawShape(random)
  const log: Log = { events: [], coverage, working: new Set(), isAudited: false }
  const make = (context: ProgramContext, number: number, troupe: Troupe): Promise<unknown> =>
    send(`${context.name}.${number}`, troupe, log)
  return {
    programs: [
      auditorOf(log),
      producer('sender', { working: log.working, pauseMs: shape.pauseMs, make }),
      ...Array.from({ length: WORKERS }, (_, at) => workerOf(`worker-${at}`, shape, log)),
    ],
    needsAll: true,
    isDone: () => log.isAudited,
    judge: () => checkDrains(log.events, scenario.faults.length === 0 ? elections : undefined),
    history: log.events,
  }
}

function drawShape(random: SeededRandom): Shape {
  return {
    pauseMs: 10 + random.below(100),
    concurrency: 1 + random.below(6),
    prefetch: random.below(10),
    workMs: 20 + random.below(400),
    stayMs: 200 + random.below(3000),
    timeoutMs: random.next() < 0.5 ? random.below(300) : 5000,
  }
}

async function send(content: string, troupe: Troupe, log: Log): Promise<boolean> {
  const record: JobRecord = { type: 'job', content, outcome: 'unknown' }
  log.events.push(record)
  record.outcome = (await attempt(troupe.queue(jobs).send(content, { timeout: CALL_MS }))).outcome
  return record.outcome === 'ok'
}

function workerOf(name: string, shape: Shape, log: Log): Program {
  return {
    name,
    async run(troupe, context) {
      const { random, closing, ending, sleep } = context
      for (let number = 0; !ending.aborted; number++) {
        await workAndDrain(`${context.name}.${number}`, { troupe, context, shape, log })
        await sleep(random.below(closing.aborted ? 50 : 1000))
      }
    },
  }
}

interface Parts {
  readonly troupe: Troupe
  readonly context: ProgramContext
  readonly shape: Shape
  readonly log: Log
}

async function workAndDrain(name: string, { troupe, context, shape, log }: Parts): Promise<void> {
  const { random, sleep, now } = context
  const { concurrency, prefetch, timeoutMs } = shape
  const worker = troupe.queue(jobs).work(
    async ({ id, value, attempt: count }) => {
      const run: RunRecord = {
        type: 'run',
        worker: name,
        content: value,
        group: groupOf(id),
        attempt: count,
        at: now(),
        returnedAt: Number.POSITIVE_INFINITY,
      }
      log.events.push(run)
      await sleep(random.below(shape.workMs))
      run.returnedAt = now()
    },
    { concurrency, prefetch, consumer: name },
  )
  await sleep(random.below(shape.stayMs))
  const record: DrainRecord = {
    type: 'drain',
    worker: name,
    concurrency,
    timeoutMs,
    invokedAt: now(),
    returnedAt: Number.POSITIVE_INFINITY,
    finished: 0,
    abandoned: 0,
  }
  log.events.push(record)
  const { finished, released, abandoned } = await worker.drain({ timeout: timeoutMs })
  record.finished = finished
  record.abandoned = abandoned
  record.returnedAt = now()
  if (released > 0) log.coverage.reached('drain-released')
  if (abandoned > 0) log.coverage.reached('drain-abandoned')
}

/** A message's id begins with its shard; a new cluster has its shards in the groups behind the meta group. */
function groupOf(id: string): GroupId {
  return (META_GROUP + 1 + Number.parseInt(id, 10)) as GroupId
}

function auditorOf(log: Log): Program {
  return auditor(log, async (troupe, { sleep }) => {
    for (let number = 0; !(await send(`probe.${number}`, troupe, log)); number++) await sleep(100)
    for (;;) {
      const found = await attempt(troupe.queue(jobs).stats({ timeout: CALL_MS }))
      if (found.outcome === 'ok' && found.value.waiting + found.value.delayed + found.value.leased === 0) return
      await sleep(200)
    }
  })
}

/** The schedule workload has every program set the same schedules, as programs do when they start, and collects what fires. */

import { defineQueue } from '../../message/queue.ts'
import type { ScheduleTime } from '../../message/schedule.ts'
import { checkSchedules, type FiringRecord, type SchedulePromise } from '../check/schedule.ts'
import type { Program } from '../program.ts'
import { attempt } from './attempt.ts'
import { clocksLie, type Workload, type WorkloadPorts } from './workload.ts'

const CALL_MS = 5000
const SETTERS = 3
const COLLECTORS = 2
/** Firings of each schedule after the last fault that show that it lives. */
const ALIVE = 2
const FIRING = /^(.*)@(\d+)$/

const ticks = defineQueue<string>('ticks', { lease: 2000, maxAttempts: 1000 })

interface Planned extends SchedulePromise {
  readonly time: ScheduleTime
  readonly missed: 'skip' | 'latest' | 'all'
}

export function scheduleWorkload({ scenario, random }: WorkloadPorts): Workload {
  // A calendar that was set wrong makes leader time jump, and then at most 64 times are made up for.
  const isSteady = !clocksLie(scenario)
  const isQuiet = scenario.faults.length === 0
  const everyMs = 1000 + random.below(2000)
  const planned: readonly Planned[] = [
    plan('all', { every: everyMs }, everyMs, isSteady),
    plan('skip', { every: everyMs + 250 }, everyMs + 250, isQuiet),
    { ...plan('all', { cron: '*/2 * * * * *' }, 2000, isSteady), schedule: 'cron', isAligned: true },
  ]
  const log: ScheduleLog = { events: [], isClosing: false, alive: new Map() }
  return {
    programs: [
      ...Array.from({ length: SETTERS }, (_, at) => setterOf(`setter-${at}`, planned)),
      ...Array.from({ length: COLLECTORS }, (_, at) => collectorOf(`collector-${at}`, log)),
      auditorOf(log),
      pauserOf(planned),
    ],
    isDone: () => planned.every(({ schedule }) => (log.alive.get(schedule)?.size ?? 0) >= ALIVE),
    judge: () => checkSchedules(log.events, planned),
    history: log.events,
  }
}

function plan(missed: 'skip' | 'all', time: ScheduleTime, everyMs: number, isComplete: boolean): Planned {
  return { schedule: missed, time, missed, everyMs, isAligned: false, isComplete }
}

interface ScheduleLog {
  readonly events: FiringRecord[]
  isClosing: boolean
  /** Times that came after the faults, by schedule. */
  readonly alive: Map<string, Set<number>>
}

/** Sets all schedules, again and again: the same one once more changes nothing. */
function setterOf(name: string, planned: readonly Planned[]): Program {
  return {
    name,
    async run(troupe, { random, closing, ending, sleep }) {
      while (!ending.aborted) {
        for (const { schedule, time, missed } of planned) {
          await attempt(troupe.schedule(ticks, schedule, time, { value: schedule, missed, timeout: CALL_MS }))
        }
        await sleep(closing.aborted ? 500 : random.below(8000))
      }
    },
  }
}

/** Pauses those that make up for all that they miss, each for a while: no time of theirs is lost by that. */
function pauserOf(planned: readonly Planned[]): Program {
  const pausable = planned.filter(({ missed }) => missed === 'all')
  return {
    name: 'pauser',
    // A pauser that never came back would leave them paused for longer than they make up for.
    isSpared: true,
    async run(troupe, { random, closing, ending, sleep }) {
      while (!closing.aborted) {
        await sleep(random.below(5000))
        const { schedule } = pausable[random.below(pausable.length)] ?? { schedule: 'all' }
        await attempt(troupe.pauseSchedule(ticks, schedule, { timeout: CALL_MS }))
        await sleep(random.below(5000))
        const resume = () => attempt(troupe.resumeSchedule(ticks, schedule, { timeout: CALL_MS }))
        while (!ending.aborted && (await resume()).outcome !== 'ok');
      }
    },
  }
}

function collectorOf(name: string, log: ScheduleLog): Program {
  return {
    name,
    async run(troupe, { random, ending, sleep }) {
      try {
        for await (const message of troupe.queue(ticks).receive({ prefetch: 4, signal: ending })) {
          const [, schedule = '', time = ''] = FIRING.exec(message.headers['troupe-firing'] ?? '') ?? []
          const { id } = message
          const sentAt = Math.round(message.sentAt * 1000)
          log.events.push({ type: 'firing', schedule, id, time: Number(time), sentAt })
          if (log.isClosing) log.alive.set(schedule, (log.alive.get(schedule) ?? new Set()).add(Number(time)))
          await sleep(random.below(50))
          if (random.next() < 0.95) await attempt(message.acknowledge({ timeout: CALL_MS }), 'FENCED', 'LEASE_LOST')
        }
      } catch (error) {
        if (!ending.aborted) throw error
      }
    },
  }
}

/** Says when the faults are over. */
function auditorOf(log: ScheduleLog): Program {
  return {
    name: 'auditor',
    isSpared: true,
    async run(_, { closing, sleep }) {
      while (!closing.aborted) await sleep(100)
      log.isClosing = true
    },
  }
}

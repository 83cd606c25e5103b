/** The schedules of the memory driver: each sends a message to its queue whenever its time comes. */

import { invalidArgument } from '../../base/argument.ts'
import type { Clock, Scheduler, Timer, WallMillis } from '../../base/time.ts'
import type { NamedQueue, OutgoingMessage, ScheduleRule, ScheduleStatus } from '../contract.ts'
import type { MemoryDoor } from './door.ts'

/** The next times of a cron expression after a time, in microseconds; none when it fires no more. Throws for an expression that is none. */
export type PlanCron = (spec: string, timeZone: string, afterMicros: number, count: number) => readonly number[]

export type FiringPort = (queue: NamedQueue, message: OutgoingMessage) => void

interface Schedule {
  readonly queue: NamedQueue
  readonly id: string
  readonly rule: ScheduleRule
  nextAt: WallMillis | undefined
  lastFiring: string | undefined
  missedCount: number
  missedTimes: readonly WallMillis[]
  isPaused: boolean
  timer: Timer | undefined
}

/** Later than this, a time was missed. */
const PUNCTUAL_MS = 1000
const MOST_MADE_UP = 64
const MOST_LISTED = 16

export class MemorySchedules {
  readonly #ports: { readonly clock: Clock; readonly scheduler: Scheduler; readonly planCron: PlanCron }
  readonly #door: MemoryDoor
  readonly #fire: FiringPort
  readonly #schedules = new Map<string, Schedule>()

  constructor(
    ports: { readonly clock: Clock; readonly scheduler: Scheduler; readonly planCron: PlanCron },
    door: MemoryDoor,
    fire: FiringPort,
  ) {
    this.#ports = ports
    this.#door = door
    this.#fire = fire
    door.onClose(() => {
      for (const { timer } of this.#schedules.values()) timer?.cancel()
    })
  }

  /** The same rule again changes nothing. */
  set(queue: NamedQueue, id: string, rule: ScheduleRule): void {
    const key = `${queue.name}\0${id}`
    const known = this.#schedules.get(key)
    if (known !== undefined && isSameRule(known.rule, rule)) return
    const schedule: Schedule = {
      queue,
      id,
      rule,
      nextAt: this.#first(rule),
      lastFiring: known?.lastFiring,
      missedCount: known?.missedCount ?? 0,
      missedTimes: known?.missedTimes ?? [],
      isPaused: known?.isPaused ?? false,
      timer: undefined,
    }
    if ('cron' in rule.rule && schedule.nextAt === undefined)
      throw invalidArgument(`the cron '${rule.rule.cron}' never fires`)
    known?.timer?.cancel()
    this.#schedules.set(key, schedule)
    this.#arm(schedule)
  }

  remove(queue: string, id: string): boolean {
    const key = `${queue}\0${id}`
    this.#schedules.get(key)?.timer?.cancel()
    return this.#schedules.delete(key)
  }

  pause(queue: string, id: string, isPaused: boolean): boolean {
    const schedule = this.#schedules.get(`${queue}\0${id}`)
    if (schedule === undefined) return false
    schedule.isPaused = isPaused
    schedule.timer?.cancel()
    this.#arm(schedule)
    return true
  }

  list(): readonly ScheduleStatus[] {
    return [...this.#schedules.values()].map(({ queue, id, rule, ...state }) => ({
      ...rule,
      id,
      queue: queue.name,
      isPaused: state.isPaused,
      nextAt: state.isPaused ? undefined : state.nextAt,
      lastFiring: state.lastFiring,
      missedCount: state.missedCount,
      missedTimes: state.missedTimes,
    }))
  }

  #first({ rule }: ScheduleRule): WallMillis | undefined {
    const now = this.#ports.clock.wallTime()
    if ('at' in rule) return rule.at
    return 'every' in rule ? (rule.from ?? now + rule.every) : this.#nextCron(rule, now)
  }

  #following({ rule }: ScheduleRule, at: WallMillis): WallMillis | undefined {
    if ('at' in rule) return undefined
    return 'every' in rule ? at + rule.every : this.#nextCron(rule, at)
  }

  #nextCron(
    { cron, timeZone }: { readonly cron: string; readonly timeZone: string },
    after: WallMillis,
  ): WallMillis | undefined {
    const [micros] = this.#ports.planCron(cron, timeZone, Math.round(after * 1000), 1)
    return micros === undefined ? undefined : micros / 1000
  }

  #arm(schedule: Schedule): void {
    const { nextAt, rule, isPaused } = schedule
    if (isPaused) return
    if (nextAt === undefined || (rule.until !== undefined && nextAt > rule.until)) {
      schedule.nextAt = undefined
      return
    }
    const { clock, scheduler } = this.#ports
    schedule.timer = scheduler.at(clock.now() + Math.max(0, nextAt - clock.wallTime()), () => this.#due(schedule))
  }

  #due(schedule: Schedule): void {
    const now = this.#ports.clock.wallTime()
    const { until = Number.POSITIVE_INFINITY, missed } = schedule.rule
    const passed: WallMillis[] = []
    let next = schedule.nextAt
    while (next !== undefined && next <= now && next <= until) {
      passed.push(next)
      next = this.#following(schedule.rule, next)
    }
    schedule.nextAt = next
    const fired = passed.filter((at, place) => {
      const isLast = place === passed.length - 1
      if (isLast && now - at <= PUNCTUAL_MS) return true
      return missed === 'all' ? passed.length - place <= MOST_MADE_UP : missed === 'latest' && isLast
    })
    const missedTimes = passed.filter((at) => !fired.includes(at))
    schedule.missedCount += missedTimes.length
    schedule.missedTimes = [...schedule.missedTimes, ...missedTimes].slice(-MOST_LISTED)
    for (const at of fired) this.#fireAt(schedule, at)
    this.#arm(schedule)
  }

  #fireAt(schedule: Schedule, at: WallMillis): void {
    if (this.#door.isClosed) return
    const { queue, id, rule } = schedule
    const firing = `${id}@${Math.round(at * 1000)}`
    schedule.lastFiring = firing
    this.#fire(queue, {
      key: id,
      payload: rule.payload,
      headers: { ...rule.headers, 'troupe-firing': firing },
      delay: 0,
      ttl: Number.POSITIVE_INFINITY,
      priority: 0,
      deduplication: undefined,
    })
  }
}

function isSameRule(a: ScheduleRule, b: ScheduleRule): boolean {
  return spell(a) === spell(b)
}

function spell({ payload, ...rule }: ScheduleRule): string {
  return JSON.stringify([rule, [...payload]])
}

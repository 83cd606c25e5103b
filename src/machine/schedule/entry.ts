/** A schedule is a rule for points of time, each of which makes one message. */

import { ByteReader, ByteWriter, malformed } from '../../base/bytes.ts'
import type { HeapEntry } from '../../base/heap.ts'
import type { LeaderMicros } from '../batch.ts'
import {
  decodeDefinition,
  decodeTimes,
  encodeDefinition,
  encodeTimes,
  MISSED_LIMIT,
  PLAN_LIMIT,
  type ScheduleDefinition,
  type ScheduleStatus,
  scheduleKey,
} from './command.ts'

/** A time that is further behind has been missed. */
const LATE_MICROS = 1_000_000
/** The leader is to plan on when no more times than this are left: so many that pass while nobody leads are known to have been missed. */
const FEW_TIMES = MISSED_LIMIT
/** Of the times that have come together, so many of the latest are looked at one by one. */
const MOST_KNOWN = PLAN_LIMIT + MISSED_LIMIT
const NEVER: LeaderMicros = Number.POSITIVE_INFINITY

/**
 * Invariant: `#planned` ascends, and holds only times of a cron that have neither fired nor been missed.
 * Invariant: no time up to `#through` is planned again.
 */
export class Schedule {
  readonly queue: string
  readonly id: string
  readonly key: string
  generation = 0
  /** Its place among those that are due some time. */
  place: HeapEntry<Schedule> | undefined
  /** The revision at which it ended; 0 while it goes on. */
  ended = 0
  firedAt: LeaderMicros = 0
  missedCount = 0
  #missedTimes: readonly LeaderMicros[] = []
  /** What passes meanwhile has been missed, once it is resumed. */
  isPaused = false
  #definition: ScheduleDefinition
  /** Encoded; equal bytes are an equal definition. */
  #encoded: Uint8Array
  /** Of an interval or a single time. */
  #next: LeaderMicros = NEVER
  #planned: LeaderMicros[] = []
  #through: LeaderMicros = 0
  /** No time will be planned again. */
  #isExhausted = false

  /** `definition` is copied. */
  constructor(queue: string, id: string, definition: ScheduleDefinition) {
    this.queue = queue
    this.id = id
    this.key = scheduleKey(queue, id)
    this.#encoded = encoded(definition)
    this.#definition = decodeDefinition(new ByteReader(this.#encoded))
  }

  get definition(): ScheduleDefinition {
    return this.#definition
  }

  /** When it fires next, as far as is known; Infinity when it does not. */
  get nextAt(): LeaderMicros {
    if (this.isPaused || this.ended > 0) return NEVER
    return this.#definition.rule === 'cron' ? (this.#planned[0] ?? NEVER) : this.#next
  }

  get wantsPlan(): boolean {
    const isGoing = !this.isPaused && this.ended === 0 && !this.#isExhausted
    return isGoing && this.#definition.rule === 'cron' && this.#planned.length <= FEW_TIMES
  }

  /** Times after this one are to be planned. */
  get plannedThrough(): LeaderMicros {
    return this.#through
  }

  /** Whether it will not fire again, whatever comes. */
  get isOver(): boolean {
    if (this.#definition.rule === 'cron') return this.#isExhausted && this.#planned.length === 0
    return this.#next > this.#last
  }

  get status(): ScheduleStatus {
    const { queue, id, generation, isPaused, missedCount, definition } = this
    const nextAt = this.nextAt === NEVER ? undefined : this.nextAt
    const firedAt = this.firedAt || undefined
    return { queue, id, generation, isPaused, nextAt, firedAt, missedCount, missedTimes: this.#missedTimes, definition }
  }

  isDefinedAs(definition: ScheduleDefinition): boolean {
    const bytes = encoded(definition)
    return bytes.length === this.#encoded.length && bytes.every((byte, at) => byte === this.#encoded[at])
  }

  define(definition: ScheduleDefinition): void {
    this.#encoded = encoded(definition)
    this.#definition = decodeDefinition(new ByteReader(this.#encoded))
  }

  /** Begins a generation of the present definition. */
  begin(generation: number, time: LeaderMicros): void {
    const { rule, at } = this.#definition
    this.generation = generation
    this.ended = 0
    this.#planned = []
    this.#isExhausted = false
    this.#through = time
    this.#next =
      rule === 'cron' ? NEVER : rule === 'at' ? at : at === 0 ? time + this.#interval : this.#skipTo(at, time)
  }

  /** The next times of a cron, ascending; none when it never fires again. */
  plan(times: readonly LeaderMicros[]): void {
    if (this.#definition.rule !== 'cron' || this.#planned.length > PLAN_LIMIT) return
    this.#isExhausted ||= times.length === 0
    for (const time of times) {
      if (time <= this.#through) continue
      this.#through = time
      if (time <= this.#last) this.#planned.push(time)
      else this.#isExhausted = true
    }
  }

  /** Takes the times that have come, and returns those that are to fire. */
  takeDue(time: LeaderMicros): readonly LeaderMicros[] {
    const { count, latest } = this.#definition.rule === 'cron' ? this.#takePlanned(time) : this.#takeNext(time)
    const last = latest.at(-1) ?? time
    const isLate = time - last > LATE_MICROS
    const { missed } = this.#definition
    const most = missed === 'all' ? PLAN_LIMIT : missed === 'latest' || !isLate ? 1 : 0
    const firing = latest.slice(Math.max(0, latest.length - most))
    this.miss(count - firing.length, latest.slice(0, latest.length - firing.length))
    // What lies between an old plan and now is not made up for, or a plan for each hour would follow a long night.
    if (isLate && this.#planned.length === 0) this.#through = Math.max(this.#through, time)
    return firing
  }

  /** @param times the latest of them, ascending */
  miss(count: number, times: readonly LeaderMicros[]): void {
    this.missedCount += count
    if (times.length > 0) this.#missedTimes = [...this.#missedTimes, ...times].slice(-MISSED_LIMIT)
  }

  /**
   * `[queue, id, generation, paused u8, ended, firedAt, missedCount, missed times, next (0: never), through, exhausted u8, planned times]`
   * and the definition.
   */
  freeze(): readonly [Uint8Array, Uint8Array] {
    const writer = new ByteWriter()
    writer.text(this.queue)
    writer.text(this.id)
    writer.u53(this.generation)
    writer.u8(this.isPaused ? 1 : 0)
    for (const number of [this.ended, this.firedAt, this.missedCount]) writer.u53(number)
    encodeTimes(writer, this.#missedTimes)
    writer.u53(this.#next === NEVER ? 0 : this.#next)
    writer.u53(this.#through)
    writer.u8(this.#isExhausted ? 1 : 0)
    encodeTimes(writer, this.#planned)
    return [writer.take(0), this.#encoded]
  }

  static load(reader: ByteReader): Schedule {
    const [queue, id] = [reader.text(), reader.text()]
    const generation = reader.u53()
    const isPaused = reader.u8() === 1
    const [ended, firedAt, missedCount] = [reader.u53(), reader.u53(), reader.u53()]
    const missedTimes = decodeTimes(reader)
    const [next, through] = [reader.u53(), reader.u53()]
    const isExhausted = reader.u8() === 1
    const planned = decodeTimes(reader)
    const schedule = new Schedule(queue, id, decodeDefinition(reader))
    if (reader.remaining > 0) throw malformed('a schedule is longer than its content')
    schedule.generation = generation
    schedule.isPaused = isPaused
    schedule.ended = ended
    schedule.firedAt = firedAt
    schedule.missedCount = missedCount
    schedule.#missedTimes = missedTimes
    schedule.#next = next || NEVER
    schedule.#through = through
    schedule.#isExhausted = isExhausted
    schedule.#planned = planned
    return schedule
  }

  get #interval(): LeaderMicros {
    return this.#definition.everyMs * 1000
  }

  /** The last time that may fire. */
  get #last(): LeaderMicros {
    return this.#definition.until || Number.MAX_SAFE_INTEGER
  }

  /** The first time from `time` on, in steps of the interval from `from`. */
  #skipTo(from: LeaderMicros, time: LeaderMicros): LeaderMicros {
    return from + Math.max(0, Math.ceil((time - from) / this.#interval)) * this.#interval
  }

  /** How many times have come, and the latest of them. */
  #takePlanned(time: LeaderMicros): { readonly count: number; readonly latest: readonly LeaderMicros[] } {
    const due = this.#planned.filter((planned) => planned <= time)
    this.#planned = this.#planned.slice(due.length)
    return { count: due.length, latest: due.slice(-MOST_KNOWN) }
  }

  #takeNext(time: LeaderMicros): { readonly count: number; readonly latest: readonly LeaderMicros[] } {
    const first = this.#next
    if (this.#definition.rule === 'at') {
      this.#next = NEVER
      return { count: 1, latest: [first] }
    }
    const interval = this.#interval
    const count = Math.floor((Math.min(time, this.#last) - first) / interval) + 1
    this.#next = first + count * interval
    const skipped = Math.max(0, count - MOST_KNOWN)
    return {
      count,
      latest: Array.from({ length: count - skipped }, (_, at) => first + (skipped + at) * interval),
    }
  }
}

function encoded(definition: ScheduleDefinition): Uint8Array {
  const writer = new ByteWriter(definition.headers.length + definition.payload.length + 256)
  encodeDefinition(writer, definition)
  return writer.copy()
}

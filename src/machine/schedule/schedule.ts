/** The schedules of a shard: each sends a message to a queue of the shard whenever its time comes. */

import { type ByteReader, ByteWriter, malformed } from '../../base/bytes.ts'
import { decodeHeaders, encodeHeaders } from '../../base/headers.ts'
import { Heap } from '../../base/heap.ts'
import { KEY_LIMIT_BYTES } from '../../base/limit.ts'
import type { LeaderMicros } from '../batch.ts'
import { expectEnd, STATUS } from '../command.ts'
import { compareKeys } from '../key-order.ts'
import type { ScheduleView, UnplannedSchedule } from '../leader-view.ts'
import { type FrozenTable, type Neighbours, TABLE, type Table, type Task } from '../table.ts'
import { expectVersion } from '../version.ts'
import {
  decodeDefinition,
  encodeScheduleStatus,
  FIRING_HEADER,
  firingId,
  PLAN_LIMIT,
  SCHEDULE_COMMAND,
  SCHEDULE_QUERY,
  scheduleKey,
} from './command.ts'
import { Schedule } from './entry.ts'

const VERSION = 1
const SCHEDULES_LIMIT = 100_000
/** Of schedules that have ended, so many of the last stay to be listed. */
const ENDED_LIMIT = 1000
const MOST_PAGE_ENTRIES = 1000
const MOST_PAGE_BYTES = 1024 * 1024

interface Firing {
  readonly time: LeaderMicros
  readonly schedule: Schedule
}

/**
 * Invariant: a schedule is in `#due` when it will fire at a time that is known, in `#unplanned` when it wants times, in
 * `#ended` when it has ended.
 */
export class ScheduleTable implements Table, ScheduleView {
  readonly type: number = TABLE.schedule
  version = 0
  readonly #neighbours: Neighbours
  readonly #schedules: Map<string, Schedule> = new Map()
  /** In the order of their keys; made when it is asked for, and gone when a schedule comes or goes. */
  #ordered: readonly Schedule[] | undefined = undefined
  readonly #due: Heap<Schedule> = new Heap()
  readonly #unplanned: Set<Schedule> = new Set()
  readonly #ended: Set<Schedule> = new Set()

  constructor(neighbours: Neighbours) {
    this.#neighbours = neighbours
  }

  get dueAt(): LeaderMicros {
    return this.#due.lowest
  }

  *unplanned(): Generator<UnplannedSchedule> {
    for (const { id, queue, generation, definition, plannedThrough } of this.#unplanned) {
      yield { id, queue, generation, cron: definition.spec, timeZone: definition.timeZone, after: plannedThrough }
    }
  }

  run(task: Task): void {
    if (task.kind === SCHEDULE_COMMAND.scheduleSet) this.#set(task)
    else if (task.kind === SCHEDULE_COMMAND.schedulePlan) this.#plan(task)
    else if (task.kind === SCHEDULE_COMMAND.schedulePause) this.#pause(task)
    else if (task.kind === SCHEDULE_COMMAND.scheduleRemove) this.#remove(task)
    else this.check(task)
  }

  check({ outcome }: Task): void {
    outcome.status = STATUS.unsupported
    outcome.revision = 0
  }

  apply(task: Task): void {
    this.check(task)
  }

  query(kind: number, reader: ByteReader, reply: ByteWriter): boolean {
    if (kind === SCHEDULE_QUERY.schedules) return this.#list(reader, reply)
    if (kind !== SCHEDULE_QUERY.schedule) return false
    const schedule = this.#schedules.get(readKey(reader))
    if (reader.remaining > 0) return false
    reply.u8(schedule === undefined ? STATUS.absent : STATUS.ok)
    reply.u53(schedule?.generation ?? 0)
    if (schedule !== undefined) encodeScheduleStatus(reply, schedule.status)
    return true
  }

  /** Messages leave in the order of their times, then of queues and ids. */
  advance(time: LeaderMicros): void {
    const firings: Firing[] = []
    const taken: Schedule[] = []
    while (this.#due.lowest <= time) {
      const schedule = this.#due.take()
      if (schedule === undefined) break
      taken.push(schedule)
      for (const due of schedule.takeDue(time)) firings.push({ time: due, schedule })
    }
    firings.sort((a, b) => a.time - b.time || compareKeys(a.schedule.key, b.schedule.key))
    for (const firing of firings) this.#fire(firing, time)
    for (const schedule of taken.sort((a, b) => compareKeys(a.key, b.key))) this.#place(schedule, time)
  }

  freeze(): FrozenTable {
    const frozen = this.#sorted().map((schedule) => schedule.freeze())
    return {
      *sections(): Generator<Uint8Array> {
        for (const [state, definition] of frozen) {
          const writer = new ByteWriter(state.length + definition.length + 1)
          writer.u8(VERSION)
          writer.raw(state)
          writer.raw(definition)
          yield writer.take(0)
        }
      },
      release(): void {},
    }
  }

  load(section: ByteReader): void {
    expectVersion('schedules', section.u8(), VERSION)
    const schedule = Schedule.load(section)
    if (this.#schedules.has(schedule.key)) throw malformed('a schedule is there twice')
    this.#add(schedule)
    if (schedule.ended > 0) this.#ended.add(schedule)
    else this.#await(schedule)
  }

  #set({ reader, end, time, outcome }: Task): void {
    const queue = readQueue(reader)
    const id = reader.text(KEY_LIMIT_BYTES)
    const definition = decodeDefinition(reader)
    expectEnd(reader, end)
    const present = this.#schedules.get(scheduleKey(queue, id))
    outcome.status = STATUS.ok
    outcome.revision = present?.generation ?? 0
    if (present?.isDefinedAs(definition)) return
    if (present === undefined && this.#schedules.size >= SCHEDULES_LIMIT) {
      outcome.status = STATUS.full
      return
    }
    const schedule = present ?? this.#add(new Schedule(queue, id, definition))
    schedule.define(definition)
    schedule.begin(this.#neighbours.revise(time), time)
    this.#place(schedule, time)
    outcome.revision = schedule.generation
  }

  #plan({ reader, end, time, outcome }: Task): void {
    const schedule = this.#schedules.get(readKey(reader))
    const generation = reader.u53()
    const count = reader.u32()
    if (count > PLAN_LIMIT) throw malformed('a plan has at most 64 times')
    const times: LeaderMicros[] = []
    while (times.length < count) times.push(reader.u53())
    expectEnd(reader, end)
    if (times.some((planned, at) => planned <= (times[at - 1] ?? 0))) throw malformed('times of a plan ascend')
    const isPresent = schedule !== undefined && schedule.generation === generation && schedule.ended === 0
    outcome.status = isPresent ? STATUS.ok : STATUS.absent
    outcome.revision = schedule?.generation ?? 0
    if (!isPresent) return
    schedule.plan(times)
    this.#place(schedule, time)
  }

  #pause({ reader, end, time, outcome }: Task): void {
    const schedule = this.#schedules.get(readKey(reader))
    const paused = reader.u8()
    expectEnd(reader, end)
    if (paused > 1) throw malformed('a schedule is paused or not')
    outcome.status = schedule === undefined ? STATUS.absent : STATUS.ok
    outcome.revision = schedule?.generation ?? 0
    if (schedule === undefined || schedule.ended > 0) return
    schedule.isPaused = paused === 1
    this.#place(schedule, time)
  }

  #remove({ reader, end, outcome }: Task): void {
    const schedule = this.#schedules.get(readKey(reader))
    expectEnd(reader, end)
    outcome.status = schedule === undefined ? STATUS.absent : STATUS.ok
    outcome.revision = schedule?.generation ?? 0
    if (schedule !== undefined) this.#forget(schedule)
  }

  #fire({ time: due, schedule }: Firing, time: LeaderMicros): void {
    const { queue, id, definition } = schedule
    const deduplicationId = firingId(id, due)
    const headers = encodeHeaders({ ...decodeHeaders(definition.headers), [FIRING_HEADER]: deduplicationId })
    const message = { queue, key: id, headers, payload: definition.payload, deduplicationId }
    if (this.#neighbours.enqueue(message, time) === 0) schedule.miss(1, [due])
    else schedule.firedAt = due
  }

  /** Puts a schedule that has changed to where it now belongs. */
  #place(schedule: Schedule, time: LeaderMicros): void {
    this.version++
    this.#unplace(schedule)
    if (schedule.isOver) this.#end(schedule, time)
    else this.#await(schedule)
  }

  #await(schedule: Schedule): void {
    const { nextAt } = schedule
    if (Number.isFinite(nextAt)) schedule.place = this.#due.add(schedule, nextAt)
    if (schedule.wantsPlan) this.#unplanned.add(schedule)
  }

  #end(schedule: Schedule, time: LeaderMicros): void {
    schedule.ended = this.#neighbours.revise(time)
    this.#ended.add(schedule)
    if (this.#ended.size <= ENDED_LIMIT) return
    let oldest = schedule
    for (const other of this.#ended) if (other.ended < oldest.ended) oldest = other
    this.#forget(oldest)
  }

  #unplace(schedule: Schedule): void {
    if (schedule.place !== undefined) this.#due.remove(schedule.place)
    schedule.place = undefined
    this.#unplanned.delete(schedule)
    this.#ended.delete(schedule)
  }

  #add(schedule: Schedule): Schedule {
    this.#schedules.set(schedule.key, schedule)
    this.#ordered = undefined
    return schedule
  }

  #forget(schedule: Schedule): void {
    this.version++
    this.#unplace(schedule)
    this.#schedules.delete(schedule.key)
    this.#ordered = undefined
  }

  #sorted(): readonly Schedule[] {
    this.#ordered ??= [...this.#schedules.values()].sort((a, b) => compareKeys(a.key, b.key))
    return this.#ordered
  }

  #list(reader: ByteReader, reply: ByteWriter): boolean {
    const after = reader.text()
    const limit = Math.max(1, Math.min(reader.u32(), MOST_PAGE_ENTRIES))
    if (reader.remaining > 0) return false
    const later = this.#sorted().filter(({ key }) => compareKeys(key, after) > 0)
    reply.u8(STATUS.ok)
    reply.u53(0)
    const head = reply.length
    reply.u8(0)
    reply.u32(0)
    let count = 0
    for (const { status } of later) {
      if (count >= limit || reply.length - head >= MOST_PAGE_BYTES) break
      encodeScheduleStatus(reply, status)
      count++
    }
    reply.bytes[head] = count < later.length ? 1 : 0
    reply.patchU32(head + 1, count)
    return true
  }
}

function readQueue(reader: ByteReader): string {
  const queue = reader.text(KEY_LIMIT_BYTES)
  if (queue === '' || queue.includes('\0')) throw malformed('no such name of a queue')
  return queue
}

function readKey(reader: ByteReader): string {
  return scheduleKey(readQueue(reader), reader.text(KEY_LIMIT_BYTES))
}

/** A schedule sends a message to a queue whenever its time comes, once in the whole cluster. */

import { checkDuration, checkTime, invalidArgument, refuseUnknownOptions } from '../base/argument.ts'
import type { Millis, WallMillis } from '../base/time.ts'
import { CALL_OPTIONS, checkCall } from '../data/call.ts'
import { facetOf } from '../data/facet.ts'
import { checkBound } from '../data/key.ts'
import { afterwards } from '../data/patience.ts'
import type { CallOptions, ScheduleRule, ScheduleStatus } from '../driver/contract.ts'
import { ownHeaders, whenValid } from './outgoing.ts'
import type { MessageParts } from './parts.ts'
import type { QueueDefinition } from './queue.ts'

/** When a schedule fires. */
export type ScheduleTime =
  /** A cron expression of five fields, or six with seconds in front, in a time zone such as `'Europe/Berlin'`; default `'UTC'`. */
  | { readonly cron: string; readonly timeZone?: string }
  /** Every so many milliseconds, without drift; the first time at `from`, or one interval from now. */
  | { readonly every: Millis; readonly from?: WallMillis }
  /** Once, in milliseconds since 1970. */
  | { readonly at: WallMillis }

/** What a schedule sends, and what becomes of times that it missed. */
export interface ScheduleOptions<Input> extends CallOptions {
  /** What is sent each time. */
  readonly value: Input
  readonly headers?: Readonly<Record<string, string>>
  /**
   * What becomes of times that pass while nobody leads, or while it is paused: `'skip'` (the default), only the
   * `'latest'`, or `'all'` (at most 64).
   */
  readonly missed?: 'skip' | 'latest' | 'all'
  /** After this time it fires no more. */
  readonly until?: WallMillis
}

/** A schedule as it stands now. */
export interface ScheduleState extends Omit<ScheduleStatus, 'payload'> {
  /** What is sent each time. */
  readonly value: unknown
}

const OPTIONS: ReadonlySet<string> = new Set([...CALL_OPTIONS, 'value', 'headers', 'missed', 'until'])
const TIME_OPTIONS: ReadonlySet<string> = new Set(['cron', 'timeZone', 'every', 'from', 'at'])
const MISSED = ['skip', 'latest', 'all']

/** Sets the schedule of this id; the same one again changes nothing. See `Troupe.schedule`. */
export async function setSchedule<Value, Input>(
  parts: MessageParts,
  definition: QueueDefinition<Value, Input>,
  { id, time }: { readonly id: string; readonly time: ScheduleTime },
  options: ScheduleOptions<Input>,
): Promise<void> {
  checkCall('troupe.schedule', options, OPTIONS)
  const { value, headers: given, missed = 'skip', until, ...call } = options
  checkId(id)
  const headers = ownHeaders(given)
  if (!MISSED.includes(missed)) throw invalidArgument(`missed is 'skip', 'latest' or 'all'`)
  if (until !== undefined) checkTime('until', until)
  const rule = ruleOf(time)
  const { name, rules, schema } = definition
  const facet = facetOf(parts.driver, 'queue')
  const encode = (valid: unknown): Uint8Array => parts.codec.encode(valid)
  const promised = Promise.resolve(whenValid(schema, value, `the value of schedule '${id}'`, encode))
  await afterwards({ promised, what: `the schema of '${name}'` }, call, parts, (payload, left) =>
    facet.schedule({ name, rules }, id, { rule, until, missed, payload, headers }, left),
  )
}

export async function removeSchedule(
  { driver }: MessageParts,
  queue: { readonly name: string },
  id: string,
  options: CallOptions,
): Promise<boolean> {
  checkCall('troupe.unschedule', options, CALL_OPTIONS)
  if (typeof queue?.name !== 'string') throw invalidArgument('troupe.unschedule takes a definition made by defineQueue')
  checkId(id)
  return facetOf(driver, 'queue').unschedule(queue.name, id, options)
}

export async function pauseSchedule(
  { driver }: MessageParts,
  { queue, id }: { readonly queue: { readonly name: string }; readonly id: string },
  isPaused: boolean,
  options: CallOptions,
): Promise<boolean> {
  const call = isPaused ? 'troupe.pauseSchedule' : 'troupe.resumeSchedule'
  checkCall(call, options, CALL_OPTIONS)
  if (typeof queue?.name !== 'string') throw invalidArgument(`${call} takes a definition made by defineQueue`)
  checkId(id)
  return facetOf(driver, 'queue').pauseSchedule({ queue: queue.name, id }, isPaused, options)
}

export async function listSchedules(
  { driver, codec }: MessageParts,
  options: CallOptions,
): Promise<readonly ScheduleState[]> {
  checkCall('troupe.schedules', options, CALL_OPTIONS)
  const found = await facetOf(driver, 'queue').schedules(options)
  const all = found.map(({ payload, ...state }) => ({ ...state, value: codec.decode(payload) }))
  return all.sort((a, b) => compare(a.queue, b.queue) || compare(a.id, b.id))
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function ruleOf(time: ScheduleTime): ScheduleRule['rule'] {
  refuseUnknownOptions('the time of a schedule', time, TIME_OPTIONS)
  const kinds = ['cron', 'every', 'at'].filter((kind) => kind in time)
  if (kinds.length !== 1) throw invalidArgument('a schedule has either a cron, or every, or at')
  if ('cron' in time) {
    if (typeof time.cron !== 'string') throw invalidArgument('cron is a text')
    const { cron, timeZone = 'UTC' } = time
    if (typeof timeZone !== 'string' || timeZone === '')
      throw invalidArgument(`timeZone is a text such as 'Europe/Berlin'`)
    return { cron, timeZone }
  }
  if ('every' in time) {
    checkDuration('every', time.every, 1)
    if (time.from !== undefined) checkTime('from', time.from)
    return time
  }
  checkTime('at', time.at)
  return time
}

function checkId(id: string): void {
  if (typeof id !== 'string' || id === '' || id.length > 256)
    throw invalidArgument('the id of a schedule is a text of 1 to 256')
  checkBound('the id of a schedule', id)
}

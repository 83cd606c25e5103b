/** The commands and queries of schedules: driver and machine agree here on their bytes. */

import { type ByteReader, type ByteWriter, malformed } from '../../base/bytes.ts'
import { decodeHeaders, HEADERS_LIMIT_BYTES } from '../../base/headers.ts'
import { KEY_LIMIT_BYTES, VALUE_LIMIT_BYTES } from '../../base/limit.ts'
import type { LeaderMicros } from '../batch.ts'

/**
 * A schedule lives where its messages go: in `shardOf(queue, id)`; its messages have the key `id`. Bodies:
 * - `scheduleSet`
 *   `[queue text, id text, rule u8, spec text, timeZone text, everyMs u53, at u53, until u53, missed u8, headers blob, payload blob]`:
 *   rule 0 cron (`spec`), 1 every, 2 at. The same definition again changes nothing (`ok` with the present generation,
 *   also when it has ended); another begins a new generation. `at` (u53 microseconds) is the time of rule 2 and the
 *   first time of rule 1 (0: one interval from now; one that has passed: what follows it in steps of the interval).
 *   `until` is the last time that may fire, 0 for none. Number: the generation. `full` above a limit.
 * - `scheduleRemove` `[queue text, id text]`, `schedulePause` `[queue text, id text, paused u8]`: `absent` without one.
 *   Number: the generation. What passes while it is paused has been missed, once it is resumed. To set it again does
 *   not resume it.
 * - `schedulePlan` `[queue text, id text, generation u53, count u32, time u53 …]`: by the leader: the next times of a
 *   cron, ascending; at most 64. None: it never fires again. Times that were planned before are left out; `absent` for
 *   a generation that is not the present one.
 *
 * When the batch time reaches a planned time, `advance` sends one message with deduplication id and header
 * `troupe-firing: id@time`: so a firing happens once, whoever leads. Times that were passed at once (nobody led, or it
 * was paused) follow `missed`.
 */
export const SCHEDULE_COMMAND = {
  scheduleSet: 224,
  scheduleRemove: 225,
  schedulePause: 226,
  schedulePlan: 227,
} as const

/**
 * Queries: `schedule` `[queue, id]` → `[ok u8, generation u53, status]` or `absent`; `schedules`
 * `[after text, limit u32]` → `[ok u8, 0 u53, more u8, count u32, status …]` in the order of their keys, after the key
 * `after` (see {@link scheduleKey}); see {@link ScheduleStatus}.
 */
export const SCHEDULE_QUERY = { schedule: 224, schedules: 225 } as const

/** What to do with times that passed more than a second unseen: none of them, the latest, or each (at most 64). Encoded as its position. */
export const MISSED = ['skip', 'latest', 'all'] as const
export const RULES = ['cron', 'every', 'at'] as const

/** Missed times that a schedule lists. */
export const MISSED_LIMIT = 16
/** Most times of a plan, and most firings that are made up for at once. */
export const PLAN_LIMIT = 64
/** Thirty years. */
const LONGEST_MS = 1e12
export const FIRING_HEADER = 'troupe-firing'

export interface ScheduleDefinition {
  readonly rule: (typeof RULES)[number]
  /** Of a cron; else `''`. */
  readonly spec: string
  readonly timeZone: string
  /** 0 unless the rule is `'every'`. */
  readonly everyMs: number
  readonly at: LeaderMicros
  readonly until: LeaderMicros
  readonly missed: (typeof MISSED)[number]
  /** Encoded; see `base/headers.ts`. */
  readonly headers: Uint8Array
  readonly payload: Uint8Array
}

/**
 * `[queue text, id text, generation u53, paused u8, nextAt u53, firedAt u53, missedCount u53, missed u32, time u53 …, definition as in scheduleSet]`,
 * 0 for times that there are not.
 */
export interface ScheduleStatus {
  readonly queue: string
  readonly id: string
  readonly generation: number
  readonly isPaused: boolean
  /** Undefined when it does not fire again, is paused, or has yet to be planned. */
  readonly nextAt: LeaderMicros | undefined
  /** The time for which it last fired: the firing's id is {@link firingId} of it. */
  readonly firedAt: LeaderMicros | undefined
  /**
   * Times that passed without a firing; of those that passed while nobody led for longer than a plan reaches, only the
   * planned ones are known.
   */
  readonly missedCount: number
  /** The latest of them, ascending, at most {@link MISSED_LIMIT}. */
  readonly missedTimes: readonly LeaderMicros[]
  readonly definition: ScheduleDefinition
}

/** The key by which schedules are ordered; no queue has a `\0` in its name. */
export function scheduleKey(queue: string, id: string): string {
  return `${queue}\0${id}`
}

export function firingId(id: string, time: LeaderMicros): string {
  return `${id}@${time}`
}

// Encoders write bodies, without a command's head or a query's kind. A page of schedules is asked for with `encodePage`
// of topics.

export function encodeScheduleName(writer: ByteWriter, queue: string, id: string): void {
  writer.text(queue)
  writer.text(id)
}

export function encodeScheduleSet(
  writer: ByteWriter,
  name: { readonly queue: string; readonly id: string },
  definition: ScheduleDefinition,
): void {
  encodeScheduleName(writer, name.queue, name.id)
  encodeDefinition(writer, definition)
}

export function encodeSchedulePause(writer: ByteWriter, queue: string, id: string, isPaused: boolean): void {
  encodeScheduleName(writer, queue, id)
  writer.u8(isPaused ? 1 : 0)
}

export function encodeSchedulePlan(
  writer: ByteWriter,
  name: { readonly queue: string; readonly id: string },
  generation: number,
  times: readonly LeaderMicros[],
): void {
  encodeScheduleName(writer, name.queue, name.id)
  writer.u53(generation)
  encodeTimes(writer, times)
}

/** `[count u32, time u53 …]` */
export function encodeTimes(writer: ByteWriter, times: readonly LeaderMicros[]): void {
  writer.u32(times.length)
  for (const time of times) writer.u53(time)
}

export function decodeTimes(reader: ByteReader): LeaderMicros[] {
  const times: LeaderMicros[] = []
  for (let left = reader.u32(); left > 0; left--) times.push(reader.u53())
  return times
}

export function encodeDefinition(writer: ByteWriter, definition: ScheduleDefinition): void {
  writer.u8(RULES.indexOf(definition.rule))
  writer.text(definition.spec)
  writer.text(definition.timeZone)
  writer.u53(definition.everyMs)
  writer.u53(definition.at)
  writer.u53(definition.until)
  writer.u8(MISSED.indexOf(definition.missed))
  writer.blob(definition.headers)
  writer.blob(definition.payload)
}

/** Headers and payload are views. */
export function decodeDefinition(reader: ByteReader): ScheduleDefinition {
  const rule = RULES[reader.u8()]
  const spec = reader.text(KEY_LIMIT_BYTES)
  const timeZone = reader.text(KEY_LIMIT_BYTES)
  const everyMs = reader.u53()
  const at = reader.u53()
  const until = reader.u53()
  const missed = MISSED[reader.u8()]
  const headers = reader.blob(HEADERS_LIMIT_BYTES)
  const payload = reader.blob(VALUE_LIMIT_BYTES)
  if (rule === undefined || missed === undefined) throw malformed('no such rule of a schedule')
  const isWhole = rule === 'cron' ? spec !== '' : rule === 'at' ? at > 0 : everyMs > 0 && everyMs <= LONGEST_MS
  if (!isWhole) throw malformed(`a schedule of rule ${rule} without its time`)
  decodeHeaders(headers)
  return { rule, spec, timeZone, everyMs, at, until, missed, headers, payload }
}

export function encodeScheduleStatus(writer: ByteWriter, status: ScheduleStatus): void {
  encodeScheduleName(writer, status.queue, status.id)
  writer.u53(status.generation)
  writer.u8(status.isPaused ? 1 : 0)
  writer.u53(status.nextAt ?? 0)
  writer.u53(status.firedAt ?? 0)
  writer.u53(status.missedCount)
  encodeTimes(writer, status.missedTimes)
  encodeDefinition(writer, status.definition)
}

export function decodeScheduleStatus(reader: ByteReader): ScheduleStatus {
  return {
    queue: reader.text(),
    id: reader.text(),
    generation: reader.u53(),
    isPaused: reader.u8() === 1,
    nextAt: reader.u53() || undefined,
    firedAt: reader.u53() || undefined,
    missedCount: reader.u53(),
    missedTimes: decodeTimes(reader),
    definition: decodeDefinition(reader),
  }
}

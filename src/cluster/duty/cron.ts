/** A cron expression names points of a calendar; this file finds the next of them. */

import { Cron } from 'croner'
import { invalidArgument } from '../../base/argument.ts'

const SECOND_MICROS = 1_000_000
const DAY_SECONDS = 86_400

/** Throws `INVALID_ARGUMENT` for an expression or a time zone that is none, and for an expression that names no point of any calendar. */
export function checkCron(spec: string, timeZone: string): void {
  if (planCron(spec, timeZone, 0, 1).length === 0) throw invalidArgument(`the cron expression '${spec}' never fires`)
}

/**
 * The next times after `afterMicros` in microseconds, ascending, at most `count`; fewer, or none, when it fires no more
 * often before 2255, where microseconds end. `spec` has five fields (minute, hour, day of month, month, day of week),
 * six with seconds before them, or seven with years after them; `timeZone` is an IANA name, `''` UTC. At a change of
 * the clocks, a fixed time of day that is skipped fires at once after the gap, and one that comes twice fires the first
 * time; an expression with wildcards, steps or lists of times follows the clock: it skips what is skipped and fires in
 * both. Throws `INVALID_ARGUMENT` for an expression or a time zone that is none.
 */
export function planCron(spec: string, timeZone: string, afterMicros: number, count: number): readonly number[] {
  // A date is an expression to croner, which fires once; for that there is another rule.
  if (!/^\S+(\s+\S+){4,6}$|^@[a-z]+$/i.test(spec.trim())) {
    throw invalidArgument(`'${spec}' is no cron expression: five fields, such as '0 3 * * *' for three in the morning`)
  }
  checkTimeZone(timeZone)
  try {
    const cron = new Cron(spec.trim(), { timezone: timeZone || 'UTC', paused: true })
    const times = cron.nextRuns(count, isoText(afterMicros)).map((time) => time.getTime() * 1000)
    return times.filter(Number.isSafeInteger)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw invalidArgument(`'${spec}' is no cron expression: ${reason}`, cause)
  }
}

function checkTimeZone(timeZone: string): void {
  try {
    new Intl.DateTimeFormat('en', { timeZone: timeZone || 'UTC' })
  } catch (cause) {
    throw invalidArgument(`'${timeZone}' is no time zone: use an IANA name such as 'Europe/Berlin'`, cause)
  }
}

/** A time as ISO 8601 in UTC, to the second below. Civil dates from days: Howard Hinnant, "chrono-compatible low-level date algorithms". */
function isoText(micros: number): string {
  const seconds = Math.floor(micros / SECOND_MICROS)
  const days = Math.floor(seconds / DAY_SECONDS)
  const ofDay = seconds - days * DAY_SECONDS
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153)
  const day = dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  const date = `${String(year).padStart(4, '0')}-${twoDigits(month)}-${twoDigits(day)}`
  const hour = Math.floor(ofDay / 3600)
  return `${date}T${twoDigits(hour)}:${twoDigits(Math.floor(ofDay / 60) % 60)}:${twoDigits(ofDay % 60)}Z`
}

function twoDigits(number: number): string {
  return String(number).padStart(2, '0')
}

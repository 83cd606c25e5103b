/** A schedule's history is the messages that it sent; checking it finds times that fired twice, or not at all. */

/** Microseconds of the calendar, as firings are named. */
export type FiringTime = number

/** A firing's message, each time that it came. */
export interface FiringRecord {
  readonly type: 'firing'
  readonly schedule: string
  /** Of the message. */
  readonly id: string
  /** For which it fired, as its header says. */
  readonly time: FiringTime
  /** When it was sent, by the leader's clock. */
  readonly sentAt: FiringTime
}

export interface SchedulePromise {
  readonly schedule: string
  /** Between two times. */
  readonly everyMs: number
  /** Its times are multiples of the interval, as those of a cron are. */
  readonly isAligned: boolean
  /** Each time that passed fires, also when nobody led then. */
  readonly isComplete: boolean
}

/** Every promise that was broken, as a sentence. */
export function checkSchedules(
  history: readonly FiringRecord[],
  promises: readonly SchedulePromise[],
): readonly string[] {
  return promises.flatMap((promise) => {
    const firings = history.filter(({ schedule }) => schedule === promise.schedule)
    return [...checkOnce(firings), ...checkTimes(firings, promise)]
  })
}

/** One message for each time, sent when the time had come. */
function checkOnce(firings: readonly FiringRecord[]): string[] {
  const broken: string[] = []
  const ids = new Map<FiringTime, string>()
  const times = new Map<string, FiringTime>()
  for (const { schedule, id, time, sentAt } of firings) {
    const other = ids.get(time)
    if (other !== undefined && other !== id) broken.push(`${schedule} fired twice for ${time}: as ${other} and ${id}`)
    if (times.has(id) && times.get(id) !== time)
      broken.push(`${id} of ${schedule} came for ${times.get(id)} and ${time}`)
    if (sentAt < time) broken.push(`${schedule} fired at ${sentAt} for ${time}`)
    ids.set(time, id)
    times.set(id, time)
  }
  return broken
}

/** Its times are those of its rule, and where each counts none is left out. */
function checkTimes(firings: readonly FiringRecord[], promise: SchedulePromise): string[] {
  const { schedule, everyMs, isAligned, isComplete } = promise
  const times = [...new Set(firings.map(({ time }) => time))].sort((a, b) => a - b)
  const [first] = times
  if (first === undefined) return [`${schedule} never fired`]
  const broken: string[] = []
  const base = isAligned ? 0 : first
  const every = everyMs * 1000
  for (const [at, time] of times.entries()) {
    if ((time - base) % every !== 0) broken.push(`${schedule} fired for ${time}, which is none of its times`)
    const next = times[at + 1]
    if (isComplete && next !== undefined && next - time > every) {
      broken.push(`${schedule} did not fire between ${time} and ${next}`)
    }
  }
  return broken
}

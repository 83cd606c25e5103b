/** The commands and queries of schedules: driver and machine agree here on their bytes. */

/**
 * A schedule lives where its messages go: in `shardOf(queue, id)`; its messages have the key `id`. Bodies:
 * - `scheduleSet` `[queue text, id text, rule u8, spec text, timeZone text, everyMs u53, at u53, until u53, missed u8, headers blob, payload blob]`:
 *   rule 0 cron (`spec`), 1 every, 2 at. The same definition again changes nothing (`ok` with the present generation); another begins a new generation.
 *   `at` (u53 microseconds) is the time of rule 2 and the first time of rule 1 (0: one interval from now). Number: the generation.
 * - `scheduleRemove` `[queue text, id text]`, `schedulePause` `[queue text, id text, paused u8]`.
 * - `schedulePlan` `[queue text, id text, generation u53, count u32, time u53 …]`: by the leader: the next times of a cron, ascending; at most 64. None: it never fires again.
 *
 * When the batch time reaches a planned time, `advance` sends one message with deduplication id and header
 * `troupe-firing: id@time`: so a firing happens once, whoever leads. Times that were passed at once (nobody led) follow `missed`.
 */
export const SCHEDULE_COMMAND = {
  scheduleSet: 224,
  scheduleRemove: 225,
  schedulePause: 226,
  schedulePlan: 227,
} as const

/** Queries: `schedule` `[queue, id]`, `schedules` `[after text, limit u32]` → definition, next time, last firing, how many were missed. */
export const SCHEDULE_QUERY = { schedule: 224, schedules: 225 } as const

/** What to do with times that passed more than a second unseen: none of them, the latest, or each (at most 64). Encoded as its position. */
export const MISSED = ['skip', 'latest', 'all'] as const

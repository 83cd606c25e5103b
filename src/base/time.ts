/** Time comes from a clock that is handed in, so that a simulation can own it. */

/** A duration, or a point of a monotonic clock, in milliseconds; fractions are allowed. */
export type Millis = number

/** A point of the calendar in milliseconds since 1970 (UTC). It may step in either direction: never subtract two of them for a duration. */
export type WallMillis = number

/** How long a call may take that says nothing of it. */
export const DEFAULT_TIMEOUT_MS: Millis = 10_000

/** For how long what is under way may finish before a process ends: a supervisor that kills after 30 s leaves time to close. */
export const DEFAULT_DRAIN_MS: Millis = 25_000

/** A timer of the event loop that is set for longer fires at once. */
export const LONGEST_TIMER_MS: Millis = 2 ** 31 - 1

export interface Clock {
  /** Monotonic: never steps, knows no calendar. */
  now(): Millis
  wallTime(): WallMillis
}

/** A callback that is due once; `cancel` after it ran does nothing. */
export interface Timer {
  cancel(): void
}

/** Runs callbacks later. The real one is the event loop, the virtual one the simulation's event queue. */
export interface Scheduler {
  /** Calls `task` once the clock has reached `at`. A pending timer alone does not keep an OS process alive. */
  at(at: Millis, task: () => void): Timer
  /** Calls `task` at the end of the event-loop turn: after all input that is already here, before any further waiting. */
  defer(task: () => void): void
}

/** A rate limit is a token bucket kept as one number: the time at which it will be full again (GCRA, ITU-T I.371). */

import type { LeaderMicros } from '../batch.ts'

/** The time at which a bucket is full again once a token has been taken from it at `now`. */
export function spentAt(fullAt: LeaderMicros, now: LeaderMicros, rate: number, period: number): LeaderMicros {
  return Math.max(fullAt, now) + period / rate
}

/** When there is a token again in a bucket that is full at `fullAt` and holds what one period brings. */
export function openingOf(fullAt: LeaderMicros, rate: number, period: number): LeaderMicros {
  return fullAt + period / rate - period
}

/** A bucket that has one token at `since`, when nobody knows what was taken from it before. */
export function unknownAt(since: LeaderMicros, rate: number, period: number): LeaderMicros {
  return since + period - period / rate
}

/** Buckets by key; those that are full again are forgotten. */
export class RateLimits {
  /** Least recently used first. */
  readonly #fullAt: Map<string, LeaderMicros> = new Map()
  /** Since when it is known what is taken. */
  readonly #since: LeaderMicros

  constructor(since: LeaderMicros = Number.NEGATIVE_INFINITY) {
    this.#since = since
  }

  opensAt(key: string, rate: number, period: number): LeaderMicros {
    return openingOf(this.#fullAtOf(key, rate, period), rate, period)
  }

  spend(key: string, now: LeaderMicros, rate: number, period: number): void {
    const fullAt = spentAt(this.#fullAtOf(key, rate, period), now, rate, period)
    this.#fullAt.delete(key)
    this.#fullAt.set(key, fullAt)
    // Two leave for each that comes, so that full ones do not pile up.
    let left = 2
    for (const [other, at] of this.#fullAt) {
      if (at > now || left-- === 0) break
      this.#fullAt.delete(other)
    }
  }

  #fullAtOf(key: string, rate: number, period: number): LeaderMicros {
    return this.#fullAt.get(key) ?? unknownAt(this.#since, rate, period)
  }
}

/** A retry policy says when a message that failed is tried again, if at all. */

import { checkDuration, invalidArgument, LONGEST_MS, refuseUnknownOptions } from '../base/argument.ts'
import type { Random } from '../base/random.ts'
import type { Millis } from '../base/time.ts'

/**
 * Milliseconds until the next attempt, or `'reject'`: the message becomes a dead letter at once. `attempt` is 1 after
 * the first failure. A policy of your own can tell errors apart and leave the rest to one of those below. What it
 * throws, and an answer that is neither, counts as {@link exponentialDelay}.
 *
 * @example
 * const patient = exponentialDelay({ first: 1_000, most: 60_000 })
 * defineQueue('mail', { retry: (error, attempt, random) => (error instanceof BadAddress ? 'reject' : patient(error, attempt, random)) })
 */
export type RetryPolicy = (error: unknown, attempt: number, random: Random) => Millis | 'reject'

/** Of delays that are drawn at random in part. */
export interface JitterOptions {
  /** The share of each delay that is drawn at random, from 0 (the default) to 1: with 0.2 a delay is 80 to 100 % of its length. */
  readonly jitter?: number
}

/** Of delays that grow by a step with each attempt. */
export interface LinearDelayOptions extends JitterOptions {
  /** The longest delay; default an hour. */
  readonly most?: Millis
}

/** Of delays that grow by a factor with each attempt. */
export interface ExponentialDelayOptions extends LinearDelayOptions {
  /** The first delay; default 1,000. */
  readonly first?: Millis
  /** By how much each delay is longer than the one before; default 2. */
  readonly factor?: number
}

const JITTER_OPTIONS: ReadonlySet<string> = new Set(['jitter'])
const HOUR_MS: Millis = 3_600_000

/**
 * Always the same delay, in milliseconds.
 *
 * @throws TroupeError `INVALID_ARGUMENT`
 * @example
 * defineQueue('mail', { retry: fixedDelay(5_000) })
 */
export function fixedDelay(delay: Millis, options: JitterOptions = {}): RetryPolicy {
  return policy(() => delay, options)
}

/**
 * Delays that grow by `step` milliseconds with every attempt.
 *
 * @throws TroupeError `INVALID_ARGUMENT`
 * @example
 * defineQueue('mail', { retry: linearDelay(5_000, { most: 60_000 }) })
 */
export function linearDelay(step: Millis, { most = HOUR_MS, ...options }: LinearDelayOptions = {}): RetryPolicy {
  checkDuration('step', step)
  checkDuration('most', most)
  return policy((attempt) => Math.min(most, step * attempt), options)
}

/**
 * Delays that grow by a factor with every attempt: 1, 2, 4 … seconds unless told otherwise.
 *
 * @throws TroupeError `INVALID_ARGUMENT`
 * @example
 * defineQueue('mail', { retry: exponentialDelay({ first: 500, most: 600_000, jitter: 0.2 }) })
 */
export function exponentialDelay({
  first = 1000,
  factor = 2,
  most = HOUR_MS,
  ...options
}: ExponentialDelayOptions = {}): RetryPolicy {
  checkDuration('first', first)
  checkDuration('most', most)
  if (!(typeof factor === 'number' && factor >= 1)) throw invalidArgument('factor is a number from 1')
  return policy((attempt) => Math.min(most, first * factor ** (attempt - 1)), options)
}

/** What a policy says, or the default one where it fails itself: a message must not hang on it. */
export function decide(policyOf: RetryPolicy, error: unknown, attempt: number, random: Random): Millis | 'reject' {
  try {
    const decision = policyOf(error, attempt, random)
    if (decision === 'reject') return decision
    if (typeof decision === 'number' && !Number.isNaN(decision)) return Math.min(LONGEST_MS, Math.max(0, decision))
  } catch {
    // Counts as an answer that is neither.
  }
  return Math.min(HOUR_MS, 1000 * 2 ** (attempt - 1))
}

/** @param options what the policy itself has not taken */
function policy(delayOf: (attempt: number) => Millis, options: JitterOptions): RetryPolicy {
  refuseUnknownOptions('a delay', options, JITTER_OPTIONS)
  const { jitter = 0 } = options
  if (!(typeof jitter === 'number' && jitter >= 0 && jitter <= 1))
    throw invalidArgument('jitter is a share from 0 to 1')
  checkDuration('a delay', delayOf(1))
  return (_error, attempt, random) => {
    const delay = delayOf(attempt)
    return jitter === 0 ? delay : delay * (1 - jitter * random.next())
  }
}

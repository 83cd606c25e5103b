/** An election gives an office to one of its candidates at a time, each with a token that no other has had. */

import { checkFunction } from '../base/argument.ts'
import { isTroupeError } from '../base/error.ts'
import { LOCK_VALUE_LIMIT_BYTES } from '../base/limit.ts'
import { LONGEST_TIMER_MS, type Millis } from '../base/time.ts'
import type { CallOptions, Hold } from '../driver/contract.ts'
import { CALL_OPTIONS, checkCall, NO_OPTIONS } from './call.ts'
import { facetOf } from './facet.ts'
import { checkBound } from './key.ts'
import {
  acquire,
  HeldLock,
  type Lock,
  type LockParts,
  type LockPlace,
  type LockState,
  lockName,
  lockState,
} from './lock.ts'
import type { HandleParts } from './map-handle.ts'
import { within } from './patience.ts'
import { endOf, mapStream } from './stream.ts'

/** Who stands for an office, and where the office lives. */
export interface CampaignOptions extends CallOptions {
  /** How long this process may be out of touch before it loses the office, in milliseconds; default 10,000, at least 1,000. */
  readonly ttl?: Millis
  /** Names the candidate to observers, and to `handover`: a text of up to 1,000 bytes. */
  readonly candidate?: string
  /** Where the office lives; by default in a shard of its own name. */
  readonly with?: LockPlace
}

/** Which lock is observed, and until when. */
export interface ObserveOptions {
  /** Ends the loop, which throws the signal's reason. */
  readonly signal?: AbortSignal
  /** The place of the lock or office, if it was given one. */
  readonly with?: LockPlace
}

/** An office that is held: a {@link Lock} that can be handed over. */
export interface Office extends Lock {
  /** Gives the office up; the next candidate in line has it. */
  resign(options?: CallOptions): Promise<void>
  /**
   * Gives the office to a certain candidate, if it is waiting, and else to the next in line. When this rejects, the
   * office is given up all the same: who has it next may then be another, at the latest after the office's `ttl`.
   */
  handover(candidate: string, options?: CallOptions): Promise<void>
}

const CAMPAIGN_OPTIONS: ReadonlySet<string> = new Set([...CALL_OPTIONS, 'ttl', 'candidate', 'with'])
const OBSERVE_OPTIONS: ReadonlySet<string> = new Set(['signal', 'with'])
const ALONE = { permits: 1, of: 1 }

export async function campaign(parts: LockParts, name: string, options: CampaignOptions): Promise<Office> {
  return new HeldOffice(await elected(parts, name, options), parts)
}

async function elected(parts: LockParts, name: string, options: CampaignOptions): Promise<Hold> {
  checkCall('troupe.campaign', options, CAMPAIGN_OPTIONS)
  // It goes on until it is won or its signal aborts.
  const { candidate = '', timeout = LONGEST_TIMER_MS, ...rest } = options
  checkBound('candidate', candidate)
  return acquire(parts, name, ALONE, { ...rest, timeout, value: candidate })
}

/** The state of a lock or office now and after each change. */
export function observe(
  parts: LockParts & Pick<HandleParts, 'ending'>,
  name: string,
  options: ObserveOptions,
): AsyncIterable<LockState> {
  checkCall('troupe.observe', options, OBSERVE_OPTIONS)
  const { with: place, ...call } = options
  const facet = facetOf(parts.driver, 'lease')
  const full = lockName(name, place)
  return mapStream(
    () => facet.observe(full, call),
    (status) => lockState(parts, status),
    endOf(parts.ending),
  )
}

/** Runs `task` while this process holds the office, again after each loss, until the signal aborts or the task returns. */
export async function runSingleton<Result>(
  parts: LockParts & Pick<HandleParts, 'scheduler'>,
  name: string,
  task: (office: Office) => Result | Promise<Result>,
  options: CampaignOptions,
): Promise<Result> {
  checkFunction('the task of a singleton', task)
  for (;;) {
    const office = new HeldOffice(await elected(parts, name, options), parts, options.signal)
    try {
      return await within(serve(office, task), `the task of '${name}'`, { signal: options.signal }, parts)
    } catch (error) {
      // What failed because the office was lost is not the task's failure: it runs wherever the office is now.
      if (!office.signal.aborted || options.signal?.aborted === true) throw error
      if (error !== office.signal.reason && !isTroupeError(error, 'FENCED', 'LEASE_LOST')) throw error
    }
  }
}

/** The office is held for as long as the task runs, also when nobody waits for it any more. */
async function serve<Result>(office: Office, task: (office: Office) => Result | Promise<Result>): Promise<Result> {
  try {
    return await task(office)
  } finally {
    await office.resign().catch(() => undefined)
  }
}

class HeldOffice extends HeldLock implements Office {
  readonly #holder: Hold
  readonly #codec: LockParts['codec']
  /** Of its loss, and of what else ends the task that runs in it. */
  readonly #either: AbortSignal | undefined

  constructor(hold: Hold, { codec }: LockParts, ending?: AbortSignal) {
    super(hold)
    this.#holder = hold
    this.#codec = codec
    this.#either = ending && AbortSignal.any([hold.lost, ending])
  }

  override get signal(): AbortSignal {
    // Asked each time, because the lease compares the clock then: after a pause no timer has fired yet.
    const { lost } = this.#holder
    return this.#either ?? lost
  }

  resign(options: CallOptions = NO_OPTIONS): Promise<void> {
    return this.release(options)
  }

  async handover(candidate: string, options: CallOptions = NO_OPTIONS): Promise<void> {
    checkCall('office.handover', options, CALL_OPTIONS)
    checkBound('candidate', candidate)
    return this.#holder.release({ ...options, to: this.#codec.encode(candidate, LOCK_VALUE_LIMIT_BYTES) })
  }
}

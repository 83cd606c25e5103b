/** A barrier, a latch and a once are meeting points of processes, kept in maps. */

import { checkFunction, invalidArgument } from '../base/argument.ts'
import { isTroupeError, TroupeError } from '../base/error.ts'
import { LONGEST_TIMER_MS } from '../base/time.ts'
import type { CallOptions } from '../driver/contract.ts'
import { standing } from '../driver/contract-standing.ts'
import { CALL_OPTIONS, checkCall, NO_OPTIONS } from './call.ts'
import { acquireLock, type LockParts, useHeld } from './lock.ts'
import { defineMap, type TroupeMap } from './map.ts'
import { type HandleParts, MapHandle } from './map-handle.ts'
import { endOfCall, within } from './patience.ts'

/** A gate that opens for ever once all its steps are done. */
export interface Latch {
  /** One step less to go; what remains. */
  countDown(options?: CallOptions): Promise<number>
  /** Resolves when all steps are done; without a `timeout` it waits as long as that takes. */
  wait(options?: CallOptions): Promise<void>
}

/** A line that parties cross together, as often as they like. */
export interface Barrier {
  /**
   * Resolves once as many have arrived as the barrier wants; then it is shut again for the next round. Whoever gives up
   * waiting no longer counts; without a `timeout` it waits as long as that takes. Arrivals are counted, not parties:
   * one whose process dies while it waits has arrived, and counts twice if it comes back in the same round.
   */
  arrive(options?: CallOptions): Promise<void>
}

interface Round {
  readonly round: number
  readonly arrived: number
}

const latches = defineMap<number>('troupe/latch')
const barriers = defineMap<Round>('troupe/barrier')
const results = defineMap<{ readonly result?: unknown }>('troupe/once')
const FIRST: Round = { round: 0, arrived: 0 }

/** @param count steps until the latch opens; the first to touch it decides */
export function latch(parts: HandleParts, name: string, count: number): Latch {
  checkCount(count)
  const map = new MapHandle(latches, parts)
  return {
    countDown: async (options = NO_OPTIONS) => {
      checkCall('latch.countDown', options, CALL_OPTIONS)
      return (await map.update(name, (left = count) => Math.max(0, left - 1), options)).value
    },
    wait: async (options = NO_OPTIONS) => {
      checkCall('latch.wait', options, CALL_OPTIONS)
      return until(parts, { map, key: name }, (left) => left === 0, options)
    },
  }
}

export function barrier(parts: HandleParts, name: string, count: number): Barrier {
  checkCount(count)
  const map = new MapHandle(barriers, parts)
  return {
    arrive: async (options = NO_OPTIONS) => {
      checkCall('barrier.arrive', options, CALL_OPTIONS)
      let mine = 0
      await map.update(
        name,
        ({ round, arrived } = FIRST) => {
          mine = round
          return arrived + 1 >= count ? { round: round + 1, arrived: 0 } : { round, arrived: arrived + 1 }
        },
        options,
      )
      try {
        await until(parts, { map, key: name }, (now) => (now?.round ?? 0) > mine, options)
      } catch (error) {
        const leave = (now = FIRST): Round => (now.round === mine ? { ...now, arrived: now.arrived - 1 } : now)
        // If the others went on in this very moment, they have counted this one.
        if ((await map.update(name, leave)).value.round === mine) throw error
      }
    },
  }
}

/** See `Troupe.once`. */
export async function once<Result>(
  parts: HandleParts & LockParts,
  name: string,
  task: () => Result | Promise<Result>,
  options: CallOptions,
): Promise<Result> {
  checkCall('troupe.once', options, CALL_OPTIONS)
  checkFunction('the task of a once', task)
  const end = options.timeout === undefined ? { signal: options.signal } : endOfCall(parts, options)
  const map = new MapHandle(results, parts)
  const known = await map.get(name, options)
  if (known !== undefined) return known.value.result as Result
  const turn = acquireLock(parts, `troupe/once/${name}`, { timeout: LONGEST_TIMER_MS, ...options })
  const done = useHeld(turn, async (lock) => {
    const earlier = await map.get(name)
    if (earlier !== undefined) return earlier.value.result as Result
    const result = await task()
    try {
      await map.set(name, { result }, { fence: lock, ifRevision: 0n })
      return result
    } catch (error) {
      // The lock was lost meanwhile, and whoever had it next was faster: everybody has one result.
      const other = isTroupeError(error, 'CONFLICT', 'FENCED') ? await map.get(name) : undefined
      if (other === undefined) throw error
      return other.value.result as Result
    }
  })
  // Whoever gives up waiting does not end the task: what it returns counts, and until then it has its turn.
  return within(done, `the task of '${name}'`, end, parts)
}

/** The watch stands before the value is read, so that no change falls between. */
async function until<Value>(
  { clock, scheduler }: HandleParts,
  { map, key }: { readonly map: TroupeMap<Value>; readonly key: string },
  holds: (value: Value | undefined) => boolean,
  { signal, timeout }: CallOptions,
): Promise<void> {
  const ending = new AbortController()
  const late = (): void => ending.abort(new TroupeError('TIMEOUT', `the others did not come to '${key}' in time`))
  const timer = timeout === undefined ? undefined : scheduler.at(clock.now() + timeout, late)
  const ends = signal === undefined ? ending.signal : AbortSignal.any([signal, ending.signal])
  try {
    while (!(await changedUntil(map, key, holds, ends)));
  } finally {
    timer?.cancel()
  }
}

/** Whether it holds already; otherwise waits for the next change. */
async function changedUntil<Value>(
  map: TroupeMap<Value>,
  key: string,
  holds: (value: Value | undefined) => boolean,
  signal: AbortSignal,
): Promise<boolean> {
  const range = { from: key, until: `${key}\0` }
  const { changes, first: changed } = await standing((onStanding) => map.watch({ range, signal, onStanding }))
  try {
    if (holds((await map.get(key, { signal }))?.value)) return true
    await changed
  } catch (error) {
    if (!isTroupeError(error, 'COMPACTED')) throw error
  } finally {
    await changes.return?.()
  }
  return false
}

function checkCount(count: number): void {
  if (!(Number.isSafeInteger(count) && count >= 1)) throw invalidArgument('the count is a whole number from 1')
}

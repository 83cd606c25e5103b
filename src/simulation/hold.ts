/** To hold is to look again and again whether one still does: what a holder may believe is what it saw while it was awake. */

import type { Millis } from '../base/time.ts'
import type { Lock } from '../data/lock.ts'
import type { GrantRecord } from './lock-check.ts'
import type { ProgramContext } from './program.ts'

/** Between two looks at the signal. */
export const LOOK_MS: Millis = 25

/** Notes until when its holder, awake all the time, was not told that the lock is lost: so long nobody else may have it. */
export async function hold(
  { signal }: Lock,
  grant: GrantRecord,
  duration: Millis,
  { now, sleep }: ProgramContext,
): Promise<void> {
  const until = now() + duration
  while (now() < until) {
    const before = now()
    await sleep(LOOK_MS)
    const wasAwake = now() - before < LOOK_MS + 1
    if (wasAwake && !signal.aborted) grant.heldAt = now()
  }
}

/** To insist is to ask again for a settlement that got no answer: its token makes sure that it happens once. */

import { isTroupeError } from '../base/error.ts'
import type { Millis } from '../base/time.ts'
import type { Delivered } from '../driver/contract.ts'
import { type MessageParts, pause } from './parts.ts'

const UNANSWERED = ['TIMEOUT', 'OUTCOME_UNKNOWN', 'NO_QUORUM', 'UNREACHABLE', 'OVERLOADED'] as const
const AGAIN_MS: Millis = 200

/**
 * Goes on while the lease lasts: a message that nobody settles waits until its lease is over. When an earlier copy has
 * settled it after all, the next one is refused with `FENCED`.
 */
export async function insist(parts: MessageParts, delivered: Delivered, settle: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      await settle()
      return
    } catch (error) {
      if (!isTroupeError(error, ...UNANSWERED)) throw error
    }
    await pause(parts, AGAIN_MS, delivered.lost)
  }
}

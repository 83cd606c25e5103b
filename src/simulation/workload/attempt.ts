/** An attempt is a call that faults may keep from succeeding; anything else that goes wrong is a broken promise. */

import { isTroupeError } from '../../base/error.ts'

/** What faults alone can bring about. */
const FAULT_CODES = ['NO_QUORUM', 'OUTCOME_UNKNOWN', 'TIMEOUT', 'UNREACHABLE', 'OVERLOADED'] as const

export type Attempt<Value> =
  | { readonly outcome: 'ok'; readonly value: Value }
  /** `'failed'`: it certainly did not happen. */
  | { readonly outcome: 'failed' | 'unknown'; readonly code: string }

/** Rejects with any error but those of faults and those that are named. */
export async function attempt<Value>(call: Promise<Value>, ...codes: readonly string[]): Promise<Attempt<Value>> {
  try {
    return { outcome: 'ok', value: await call }
  } catch (error) {
    if (!isTroupeError(error) || ![...FAULT_CODES, ...codes].includes(error.code)) throw error
    return { outcome: error.outcome === 'failed' ? 'failed' : 'unknown', code: error.code }
  }
}

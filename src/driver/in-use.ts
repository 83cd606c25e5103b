/** What somebody uses is not deleted, nor used as something else. */

import { TroupeError } from '../base/error.ts'
import { LOCK_SHARES } from '../base/limit.ts'

/** Throws `CONFLICT` when any of these is there; they are counted by their plurals. */
export function checkUnused(what: string, users: Readonly<Record<string, number>>): void {
  const present = Object.entries(users).flatMap(([kinds, count]) =>
    count > 0 ? [`${count} ${count === 1 ? kinds.slice(0, -1) : kinds}`] : [],
  )
  if (present.length === 0) return
  throw new TroupeError('CONFLICT', `${what} is in use: end its ${present.join(' and ')} first`, { details: users })
}

/** Holders of one name agree on what it is: a lock, an office (of one permit), or a semaphore of so many. */
export function otherPermits(name: string, permits: number, cause?: unknown): TroupeError {
  const kind =
    permits === LOCK_SHARES ? 'a lock' : permits === 1 ? 'an office, or the only permit' : `one of ${permits} permits`
  return new TroupeError('CONFLICT', `'${name}' is in use as ${kind}`, { cause, details: { permits } })
}

/** What somebody still uses is not deleted. */

import { TroupeError } from '../base/error.ts'

/** Throws `CONFLICT` when any of these is there. */
export function checkUnused(what: string, users: Readonly<Record<string, number>>): void {
  const present = Object.entries(users).flatMap(([kind, count]) => (count > 0 ? [`${count} ${kind}`] : []))
  if (present.length === 0) return
  throw new TroupeError('CONFLICT', `${what} is in use: end its ${present.join(' and ')} first`, { details: users })
}

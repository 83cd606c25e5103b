/** What somebody still uses is not deleted. */

import { TroupeError } from '../base/error.ts'

/** Throws `CONFLICT` when any of these is there; they are counted by their plurals. */
export function checkUnused(what: string, users: Readonly<Record<string, number>>): void {
  const present = Object.entries(users).flatMap(([kinds, count]) =>
    count > 0 ? [`${count} ${count === 1 ? kinds.slice(0, -1) : kinds}`] : [],
  )
  if (present.length === 0) return
  throw new TroupeError('CONFLICT', `${what} is in use: end its ${present.join(' and ')} first`, { details: users })
}
